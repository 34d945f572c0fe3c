/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Filling and wrapping struct xf_err. err.h describes how errors travel; nothing here prints.
 */
#include "transport/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "transport/text.h"

static void fill(struct xf_err *err, int num, enum xf_whose whose, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));

static void fill(struct xf_err *err, int num, enum xf_whose whose, const char *fmt, va_list ap)
{
    if (!err || err->num)
        return;
    err->num = num ? num : -1; /* a failure without a number is still a failure */
    err->whose = whose;
    if (vsnprintf(err->text, sizeof(err->text), fmt, ap) < 0)
        err->text[0] = '\0';
    /* A sentence may quote a peer, a file, a command's output. */
    xf_text_clean(err->text);
}

int(xf_fail)(struct xf_err *err, int num, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fill(err, num, num == EPROTO || num == EBADMSG ? XF_PEER : XF_OURS, fmt, ap);
    va_end(ap);
    return -1;
}

int(xf_fail_link)(struct xf_err *err, int num, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fill(err, num, XF_LINK, fmt, ap);
    va_end(ap);
    return -1;
}

int(xf_fail_peer)(struct xf_err *err, int num, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fill(err, num, XF_PEER, fmt, ap);
    va_end(ap);
    return -1;
}

int(xf_fail_as)(struct xf_err *err, const struct xf_err *why, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fill(err, why->num, why->whose, fmt, ap);
    va_end(ap);
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
        snprintf(err->text + at, sizeof(err->text) - at, ": %s", old);
    xf_text_clean(err->text);
    return -1;
}

void xf_clear(struct xf_err *err)
{
    if (err)
        memset(err, 0, sizeof(*err));
}
