/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Filling and wrapping struct xf_err. How errors travel is said in err.h; nothing
 * here prints.
 */
#include "transport/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Sentences may quote a peer or a file: keep them on one line, and whole characters. */
static void tidy(char *s, size_t written)
{
    size_t len = strlen(s);

    if (written >= XF_ERR_TEXT) { /* cut off: drop a torn UTF-8 character at the end */
        size_t i = len;

        while (i > 0 && ((unsigned char)s[i - 1] & 0xc0) == 0x80)
            i--;
        if (i > 0 && (unsigned char)s[i - 1] >= 0xc0) {
            unsigned char lead = (unsigned char)s[i - 1];
            size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;

            if (len - (i - 1) < need)
                s[i - 1] = '\0';
        }
    }
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = ' ';
}

int(xf_fail)(struct xf_err *err, int num, const char *fmt, ...)
{
    va_list ap;
    int n;

    if (!err || err->num)
        return -1;
    err->num = num ? num : -1; /* a failure without a number is still a failure */
    va_start(ap, fmt);
    n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    if (n < 0)
        n = 0, err->text[0] = '\0';
    tidy(err->text, (size_t)n);
    return -1;
}

int(xf_wrap)(struct xf_err *err, const char *fmt, ...)
{
    char old[XF_ERR_TEXT];
    va_list ap;
    size_t at;
    int n;

    if (!err || !err->num)
        return -1;
    memcpy(old, err->text, sizeof(old));
    va_start(ap, fmt);
    n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    if (n < 0)
        n = 0, err->text[0] = '\0';
    at = strlen(err->text);
    if ((size_t)n < sizeof(err->text))
        n += snprintf(err->text + at, sizeof(err->text) - at, ": %s", old);
    tidy(err->text, (size_t)n);
    return -1;
}

void xf_clear(struct xf_err *err)
{
    if (err)
        memset(err, 0, sizeof(*err));
}
