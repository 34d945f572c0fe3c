/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A logger for Xen's libraries that keeps the last error: see toollog.h. */
#include "libxl-ext/xen/toollog.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/text.h"

static void log_message(xentoollog_logger *logger, xentoollog_level level, int errnoval,
                        const char *context, const char *format, va_list al)
{
    struct xf_toollog *t = (struct xf_toollog *)logger;
    char text[300];
    va_list again;

    va_copy(again, al);
    vsnprintf(text, sizeof(text), format, again);
    va_end(again);
    text[strcspn(text, "\n")] = 0;
    xf_text_clean(text); /* it may quote xenstore values written by a guest */
    if (t->debug)
        fprintf(stderr, "%s: %s%s%s\n", context ? context : "xen", text, errnoval >= 0 ? ": " : "",
                errnoval >= 0 ? strerror(errnoval) : "");
    if (level < XTL_ERROR)
        return;
    xf_lock(&t->lock, xf_toollog_lock);
    /* The first error is the cause; those after it are libraries giving up one by one. */
    if (!t->last[0])
        snprintf(t->last, sizeof(t->last), "%s%s%s", text, errnoval > 0 ? ": " : "",
                 errnoval > 0 ? strerror(errnoval) : "");
    xf_unlock(&t->lock, xf_toollog_lock);
}

static void log_progress(xentoollog_logger *logger, const char *context, const char *doing,
                         int percent, unsigned long done, unsigned long total)
{
    (void)logger;
    (void)context;
    (void)doing;
    (void)percent;
    (void)done;
    (void)total;
}

static void log_destroy(xentoollog_logger *logger)
{
    (void)logger;
}

void xf_toollog_init(struct xf_toollog *t)
{
    memset(t, 0, sizeof(*t));
    t->vtable.vmessage = log_message;
    t->vtable.progress = log_progress;
    t->vtable.destroy = log_destroy;
    pthread_mutex_init(&t->lock, NULL);
    t->debug = getenv("XENFERRY_DEBUG") != NULL;
}

const char *xf_toollog_last(struct xf_toollog *t, char *buf, size_t len)
{
    xf_lock(&t->lock, xf_toollog_lock);
    snprintf(buf, len, "%s", t->last[0] ? t->last : "no reason given");
    t->last[0] = 0;
    xf_unlock(&t->lock, xf_toollog_lock);
    return buf;
}
