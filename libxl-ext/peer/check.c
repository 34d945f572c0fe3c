/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The list of findings: see check.h. */
#include "libxl-ext/peer/check.h"

#include <stdarg.h>
#include <stdio.h>

#include "transport/text.h"

void xf_find_too(struct xf_findings *f, const struct xf_finding *x)
{
    struct xf_finding *last = &f->list[XF_FINDINGS_MAX - 1];

    if (f->n < XF_FINDINGS_MAX) {
        f->list[f->n++] = *x;
        return;
    }
    f->dropped += f->dropped ? 1 : 2; /* the first one dropped displaces the last one, too */
    if (x->severity > last->severity)
        last->severity = x->severity;
    if (last->severity == XF_REFUSAL) /* perhaps one of those that it stands for */
        last->otherwise = XF_NOTHING;
    snprintf(last->code, sizeof(last->code), "more");
    snprintf(last->text, sizeof(last->text),
             "there are %u more findings; fix the others first, and check again", f->dropped);
}

static void find(struct xf_findings *f, struct xf_finding *x, const char *code, const char *fmt,
                 va_list al)
{
    snprintf(x->code, sizeof(x->code), "%s", code);
    vsnprintf(x->text, sizeof(x->text), fmt, al);
    xf_text_clean(x->text);
    xf_find_too(f, x);
}

void xf_find(struct xf_findings *f, enum xf_severity severity, const char *code, const char *fmt,
             ...)
{
    struct xf_finding x = {.severity = severity};
    va_list al;

    va_start(al, fmt);
    find(f, &x, code, fmt, al);
    va_end(al);
}

void xf_refuse_ours(struct xf_findings *f, enum xf_otherwise otherwise, const char *code,
                    const char *fmt, ...)
{
    struct xf_finding x = {.severity = XF_REFUSAL, .otherwise = otherwise};
    va_list al;

    va_start(al, fmt);
    find(f, &x, code, fmt, al);
    va_end(al);
}

void xf_find_limit(struct xf_findings *f, enum xf_severity severity, const char *who,
                   const char *where, unsigned busy, unsigned limit)
{
    xf_find(f, severity, XF_FOUND_LIMIT,
            "%s takes part in at most %u move%s at a time, and %u %s%s%s", who, limit,
            limit == 1 ? "" : "s", busy, busy == 1 ? "is under way" : "are under way",
            severity == XF_INFO ? (busy < limit ? "" : ": another one would wait")
                                : ": wait until one has ended, or raise <limit moves> in ",
            severity == XF_INFO ? "" : where);
}

void xf_findings_for_cold(struct xf_findings *f)
{
    unsigned n = 0;

    for (unsigned i = 0; i < f->n; i++)
        if (f->list[i].severity != XF_REFUSAL || f->list[i].otherwise == XF_NOTHING)
            f->list[n++] = f->list[i];
    f->n = n;
}

bool xf_nothing_can(const struct xf_findings *f)
{
    for (unsigned i = 0; i < f->n; i++)
        if (f->list[i].severity == XF_REFUSAL && f->list[i].otherwise == XF_NOTHING)
            return true;
    return false;
}

bool xf_stock_can(const struct xf_findings *f)
{
    bool any = false;

    for (unsigned i = 0; i < f->n; i++) {
        if (f->list[i].severity != XF_REFUSAL)
            continue;
        if (f->list[i].otherwise != XF_STOCK)
            return false;
        any = true;
    }
    return any;
}

const struct xf_finding *xf_first_refusal(const struct xf_findings *f)
{
    for (unsigned i = 0; i < f->n; i++)
        if (f->list[i].severity == XF_REFUSAL)
            return &f->list[i];
    return NULL;
}
