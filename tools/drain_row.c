/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guests of a drain, as rows of its table: see drain.h. */
#include <stdarg.h>
#include <string.h>

#include "libxl-ext/host/run_dir.h"
#include "tools/drain.h"
#include "tools/format.h"
#include "transport/text.h"

int drain_find(const struct drain *d, const char *uuid)
{
    for (unsigned i = 0; i < d->sched.nr_guests; i++)
        if (!strcmp(d->row[i].at.uuid, uuid))
            return (int)i;
    return -1;
}

int drain_add(struct drain *d, const struct xf_guest *g, enum xf_drain_state state)
{
    unsigned i = d->sched.nr_guests;

    if (i == XF_DRAIN_GUESTS_MAX)
        return -1;
    d->row[i] = (struct drain_row){.at = *g, .total_s = -1, .downtime_s = -1, .exit_status = -1};
    d->sched.guest[i] = (struct xf_drain_guest){
        /* Until a forecast says it better. */
        .rank = d->args->order == DRAIN_BY_NAME ? 0 : g->memory_kib,
        .need_kib = g->memory_kib,
        .may = UINT32_MAX,
        .state = state,
    };
    d->sched.nr_guests++;
    return (int)i;
}

int drain_note(struct drain *d, unsigned guest, const char *host, bool left, struct xf_err *err)
{
    const struct drain_row *r = &d->row[guest];
    struct xf_drain_left x = {.left = left};

    if (d->args->check)
        return 0;
    if (host) {
        /* A longer name is refused by the move. */
        xf_text_copy(x.name, sizeof(x.name), r->at.name, strlen(r->at.name));
        memcpy(x.uuid, r->at.uuid, sizeof(x.uuid));
        xf_text_copy(x.host, sizeof(x.host), host, strlen(host));
        if (xf_drain_record_put(&d->record, &x, err))
            return -1;
    } else {
        xf_drain_record_drop(&d->record, r->at.uuid);
    }
    return xf_drain_record_write(xf_run_dir(), &d->record, err);
}

void drain_say(const struct drain *d, int guest, const char *fmt, ...)
{
    static const char prefix[] = "xl migrate-drain: ";
    char text[XF_ERR_TEXT + 200];
    size_t n = 0;
    va_list al;

    if (guest >= 0)
        n = (size_t)snprintf(text, sizeof(text), "%.160s: ", d->row[guest].at.name);
    va_start(al, fmt);
    vsnprintf(text + n, sizeof(text) - n, fmt, al);
    va_end(al);
    fputs(prefix, stderr);
    print_wrapped(stderr, text, 80, sizeof(prefix) - 1, 4);
}

const char *drain_outcome(const struct drain *d, unsigned i)
{
    if (d->row[i].outcome)
        return d->row[i].outcome;
    switch (d->sched.guest[i].state) {
    case XF_DRAIN_TODO:
        return "not begun";
    case XF_DRAIN_GOING:
    case XF_DRAIN_ELSEWHERE:
        return "under way";
    case XF_DRAIN_NO_MEMORY:
        return "no memory";
    case XF_DRAIN_LEFT:
        return d->args->check ? "can leave" : d->args->undo ? "back" : "moved";
    case XF_DRAIN_REFUSED:
        return "refused";
    case XF_DRAIN_STAYED:
        return "failed";
    case XF_DRAIN_STUCK:
        return "unfinished";
    case XF_DRAIN_OUT:
        return "not running";
    }
    return "";
}

bool drain_remains(const struct drain *d, unsigned i)
{
    return d->sched.guest[i].state != XF_DRAIN_LEFT && d->sched.guest[i].state != XF_DRAIN_OUT;
}
