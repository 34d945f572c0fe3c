/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Formatting quantities for people, and wrapping a sentence to a terminal's width.
 */
#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "tools/format.h"

/* Three digits at most: 9.99, 99.9, 999. */
static char *scaled(char *buf, double value, double step, const char *const units[], int n)
{
    int i = 0;

    if (!isfinite(value) || value < 0)
        value = 0;
    /* 999.5 would be printed as 1000. */
    while (value >= (step == 1000 ? 999.5 : 1023.5) && i < n - 1) {
        value /= step;
        i++;
    }
    snprintf(buf, FMT_LEN, value < 9.95 && i ? "%.1f%s" : "%.0f%s", value, units[i]);
    return buf;
}

char *fmt_bytes(char *buf, double bytes)
{
    static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB"};

    return scaled(buf, bytes, 1024, units, 6);
}

char *fmt_count(char *buf, double n)
{
    static const char *const units[] = {"", "k", "M", "G", "T"};

    return scaled(buf, n, 1000, units, 5);
}

char *fmt_duration(char *buf, double s)
{
    if (!isfinite(s) || s < 0)
        s = 0;
    if (s < 0.00995)
        snprintf(buf, FMT_LEN, "%.1f ms", s * 1e3);
    else if (s < 0.9995)
        snprintf(buf, FMT_LEN, "%.0f ms", s * 1e3);
    else if (s < 59.95)
        snprintf(buf, FMT_LEN, "%.1f s", s);
    else if (s < 3599.5)
        snprintf(buf, FMT_LEN, "%d min %d s", (int)(s + 0.5) / 60, (int)(s + 0.5) % 60);
    else if (s < 1e9)
        snprintf(buf, FMT_LEN, "%ld h %ld min", (long)(s + 30) / 3600, (long)(s + 30) % 3600 / 60);
    else
        snprintf(buf, FMT_LEN, "for ever");
    return buf;
}

/* Length of the unit that must stay on one line: a word, a number with its unit, a `command`. */
static unsigned unbreakable(const char *text)
{
    bool quoted = false;
    unsigned n = 0;

    for (; text[n]; n++) {
        quoted ^= text[n] == '`';
        if (text[n] == ' ' && !quoted && n && !isdigit((unsigned char)text[n - 1]))
            break;
    }
    return n;
}

void print_wrapped(FILE *out, const char *text, unsigned width, unsigned column, unsigned indent)
{
    bool first = true; /* on its line */

    while (*text) {
        unsigned word = unbreakable(text);
        if (!first && column + 1 + word > width) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!first) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", (int)word, text);
        first = false;
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}
