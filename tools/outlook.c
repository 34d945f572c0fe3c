/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a move would take: see outlook.h. */
#include "tools/outlook.h"

#include <string.h>

#include "tools/format.h"

#define COLUMNS 80
#define INDENT 12 /* column where values begin, as in report.c */
#define PAGE 4096.0

static void row(FILE *out, const char *name, const char *text)
{
    fprintf(out, "  %-9s ", name);
    print_wrapped(out, text, COLUMNS, INDENT, INDENT);
}

/* "10 Gbit/s", as cards are sold. */
static char *fmt_line(char buf[FMT_LEN], double bytes_per_s)
{
    double mbit = bytes_per_s * 8 / 1e6;

    if (mbit >= 1000)
        snprintf(buf, FMT_LEN, "%.3g Gbit/s", mbit / 1000);
    else
        snprintf(buf, FMT_LEN, "%.3g Mbit/s", mbit);
    return buf;
}

/* "4.4 s, downtime 30 ms, 512 MiB on the wire"; what is not known is left out. Returns the length.
 */
static size_t figures(char *text, size_t size, double total_s, double downtime_s, double bytes)
{
    char a[FMT_LEN], b[FMT_LEN], c[FMT_LEN];
    size_t len;

    if (total_s < 0)
        return (size_t)snprintf(text, size, "not known");
    len = (size_t)snprintf(text, size, "%s", fmt_duration(a, total_s));
    if (downtime_s >= 0)
        len +=
            (size_t)snprintf(text + len, size - len, ", downtime %s", fmt_duration(b, downtime_s));
    if (bytes >= 0)
        len += (size_t)snprintf(text + len, size - len, ", %s on the wire", fmt_bytes(c, bytes));
    return len;
}

static void print_guest(FILE *out, const struct xf_outlook *f)
{
    char text[400], a[FMT_LEN], b[FMT_LEN], c[FMT_LEN], d[FMT_LEN];
    size_t len;

    if (!f->guest_pages)
        return;
    len = (size_t)snprintf(text, sizeof(text), "%s", fmt_bytes(a, (double)f->guest_pages * PAGE));
    if (f->zero_part >= 0)
        len += (size_t)snprintf(text + len, sizeof(text) - len, ", %.0f%% of it zero",
                                100 * f->zero_part);
    if (f->look_s > 0)
        snprintf(text + len, sizeof(text) - len,
                 "; it wrote %s pages in the first second and %s in %s, at a cost of about %.2g%% "
                 "of a vCPU for looking (%s trapped writes)",
                 fmt_count(b, f->dirty_pages_per_s), fmt_count(c, (double)f->working_set_pages),
                 fmt_duration(d, f->look_s), 100 * f->slowdown,
                 fmt_count(a, (double)f->working_set_pages));
    row(out, "guest", text);
}

static void print_network(FILE *out, const struct xf_outlook *f)
{
    char text[400], a[FMT_LEN];
    size_t len = 0;

    len += (size_t)snprintf(text, sizeof(text), "%s",
                            f->network[0] ? f->network : "interface not known");
    if (f->line_bytes_per_s > 0)
        len += (size_t)snprintf(text + len, sizeof(text) - len, " (%s)",
                                fmt_line(a, f->line_bytes_per_s));
    if (f->link_bytes_per_s > 0)
        len += (size_t)snprintf(text + len, sizeof(text) - len, ", %s/s measured",
                                fmt_bytes(a, f->link_bytes_per_s));
    if (f->faster_network[0])
        snprintf(text + len, sizeof(text) - len,
                 "; %s (%s) lies idle: if the destination is reached over it, name that "
                 "destination's address, or use --migration-address %s",
                 f->faster_network, fmt_line(a, f->faster_bytes_per_s), f->faster_network);
    row(out, "network", text);
}

static void print_memory(FILE *out, const struct xf_outlook *f)
{
    char text[200], a[FMT_LEN], b[FMT_LEN];
    size_t len;

    if (!f->memory_needed_kib)
        return;
    len = (size_t)snprintf(text, sizeof(text), "%s needed there",
                           fmt_bytes(a, (double)f->memory_needed_kib * 1024));
    if (f->memory_free_kib < UINT64_MAX)
        snprintf(text + len, sizeof(text) - len, ", %s free",
                 fmt_bytes(b, (double)f->memory_free_kib * 1024));
    row(out, "memory", text);
}

void outlook_print(FILE *out, const struct xf_outlook *f)
{
    char text[400];
    size_t len;

    if (!f->taken)
        return;
    len = figures(text, sizeof(text), f->total_s, f->downtime_s, f->bytes);
    if (f->total_s >= 0 && f->rounds > 1)
        snprintf(text + len, sizeof(text) - len, ", %u rounds", f->rounds);
    row(out, "forecast", text);
    snprintf(text, sizeof(text), "%s: %s", f->mode, f->why);
    row(out, "mode", text);
    print_guest(out, f);
    print_network(out, f);
    print_memory(out, f);
}

void outlook_beside(FILE *out, const struct xf_report *r)
{
    const struct xf_outlook *f = &r->forecast;
    char text[400], a[FMT_LEN];
    size_t len;

    if (!f->taken || f->total_s < 0)
        return;
    len = figures(text, sizeof(text), f->total_s, f->downtime_s, f->bytes);
    len += (size_t)snprintf(text + len, sizeof(text) - len, ", said after %s; it was ",
                            fmt_duration(a, f->at_s));
    figures(text + len, sizeof(text) - len, r->total_s, r->downtime_s, (double)r->wire_bytes);
    row(out, "forecast", text);
}
