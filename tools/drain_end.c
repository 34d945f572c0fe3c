/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a child of `xl migrate-drain` ended, and what that means for its guest: see drain.h. The exit
 * status decides; the child's JSON only says why. Where neither tells, Xen does.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "libxl-ext/host/run_dir.h"
#include "tools/drain.h"
#include "transport/text.h"

/* --- where the guest is, according to this host's Xen --- */

enum here { HERE_UNKNOWN, HERE_RUNS, HERE_SUSPENDED, HERE_ENDED, HERE_NOT, HERE_ANOTHER };

static enum here look(struct drain_row *r)
{
    struct xf_guest *list;
    enum here here = HERE_NOT;
    unsigned n;

    if (xf_guests(&list, &n, NULL)) {
        free(list);
        return HERE_UNKNOWN;
    }
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(list[i].uuid, r->at.uuid) != 0)
            continue;
        if (list[i].domid != r->at.domid) {
            if (here != HERE_NOT || list[i].state != XF_GUEST_RUNS)
                continue;
            r->at.domid = list[i].domid;
            here = HERE_ANOTHER;
            continue;
        }
        here = list[i].state == XF_GUEST_RUNS        ? HERE_RUNS
               : list[i].state == XF_GUEST_SUSPENDED ? HERE_SUSPENDED
                                                     : HERE_ENDED;
    }
    free(list);
    return here;
}

/* --- reasons --- */

static void reason(struct drain_row *r, const char *text)
{
    size_t n = strlen(r->reason);

    snprintf(r->reason + n, sizeof(r->reason) - n, "%s%s", n ? "; " : "", text);
}

/* What the child said last, if it said nothing better. */
static void take_reason(struct drain_row *r, const struct drain_child *c)
{
    char tail[sizeof(c->tail) + 1], text[60];

    r->reason[0] = 0;
    if (c->said.error[0]) {
        reason(r, c->said.error);
        return;
    }
    xf_text_copy(tail, sizeof(tail), c->tail, c->tail_len);
    for (size_t n = strlen(tail); n && tail[n - 1] == ' ';)
        tail[--n] = 0;
    if (WIFSIGNALED(c->status))
        snprintf(text, sizeof(text), "its process was killed by signal %d", WTERMSIG(c->status));
    else
        snprintf(text, sizeof(text), "its process ended with status %d", WEXITSTATUS(c->status));
    reason(r, text);
    if (tail[0])
        reason(r, tail);
}

/* --- the end of a move --- */

/* It has left, or its end is recorded elsewhere. */
static enum xf_drain_end gone(struct drain *d, unsigned i)
{
    struct xf_err err = {0};

    d->row[i].reason[0] = 0;
    if (d->args->undo ? drain_note(d, i, NULL, false, &err)
                      : drain_note(d, i, d->row[i].to, true, &err))
        drain_say(d, (int)i, "%s", err.text);
    return XF_DRAIN_END_LEFT;
}

static enum xf_drain_end stays(struct drain *d, unsigned i, enum xf_drain_end end,
                               const char *outcome)
{
    struct xf_err err = {0};

    d->row[i].outcome = outcome;
    if (!d->args->undo && drain_note(d, i, NULL, false, &err))
        drain_say(d, (int)i, "%s", err.text);
    return end;
}

static enum xf_drain_end stuck(struct drain *d, unsigned i)
{
    char text[400];

    d->row[i].outcome = "unfinished";
    snprintf(text, sizeof(text),
             "`xl migrate-recover %.128s`%s%.200s finishes that move, or says "
             "what to do",
             d->row[i].at.name, d->args->undo ? " at " : "", d->args->undo ? d->row[i].to : "");
    reason(&d->row[i], text);
    return XF_DRAIN_END_STUCK;
}

/* A refusal, or an error before the move began. */
static enum xf_drain_end refused(struct drain *d, const struct drain_child *c)
{
    struct drain_row *r = &d->row[c->guest];

    if (c->cancelled)
        return stays(d, c->guest, XF_DRAIN_END_STAYED, "cancelled");
    memcpy(r->code, c->said.code, sizeof(r->code));
    /* In a plan nothing leaves, so nothing is to be waited for. */
    if (c->said.refusals)
        return stays(d, c->guest,
                     c->said.refusals == c->said.for_memory && !d->args->check
                         ? XF_DRAIN_END_MEMORY
                         : XF_DRAIN_END_REFUSED,
                     NULL);
    if (d->args->undo)
        return XF_DRAIN_END_REFUSED;
    switch (look(r)) {
    case HERE_ANOTHER:
        return stays(d, c->guest, XF_DRAIN_END_AGAIN, NULL);
    case HERE_NOT:
    case HERE_ENDED:
        return stays(d, c->guest, XF_DRAIN_END_OUT, "ended");
    case HERE_SUSPENDED:
    case HERE_RUNS:
        if (c->said.num == EBUSY)
            return XF_DRAIN_END_BUSY;
        break;
    case HERE_UNKNOWN:
        break;
    }
    return stays(d, c->guest, XF_DRAIN_END_REFUSED, NULL);
}

/* The guest has ended, or its process said nothing that can be relied on. */
static enum xf_drain_end ask_xen(struct drain *d, const struct drain_child *c)
{
    switch (look(&d->row[c->guest])) {
    case HERE_ANOTHER:
        return stays(d, c->guest, XF_DRAIN_END_AGAIN, NULL);
    case HERE_NOT:
        if (c->status == 8 << 8)
            return stays(d, c->guest, XF_DRAIN_END_OUT, "ended");
        d->row[c->guest].outcome = "not here now";
        return XF_DRAIN_END_STUCK;
    case HERE_ENDED:
        return stays(d, c->guest, XF_DRAIN_END_OUT, "ended");
    case HERE_RUNS:
        return stays(d, c->guest, XF_DRAIN_END_STAYED, c->cancelled ? "cancelled" : NULL);
    case HERE_SUSPENDED:
    case HERE_UNKNOWN:
        break;
    }
    return stuck(d, c->guest);
}

static enum xf_drain_end moved(struct drain *d, const struct drain_child *c)
{
    struct drain_row *r = &d->row[c->guest];

    r->total_s = c->said.total_s;
    r->downtime_s = c->said.downtime_s;
    if (d->args->check || !d->args->undo)
        return gone(d, c->guest);
    /* The other host says so; whether it is so is seen here. */
    r->at.domid = 0;
    if (look(r) == HERE_ANOTHER)
        return gone(d, c->guest);
    snprintf(r->reason, sizeof(r->reason),
             "%.200s reports that it has moved here, and it does not run here; look for it there",
             r->to);
    return XF_DRAIN_END_STAYED;
}

static enum xf_drain_end judge_undo(struct drain *d, const struct drain_child *c, int status)
{
    switch (status) {
    case 1:
        return refused(d, c);
    case 5:
    case 6:
    case 7:
        return stuck(d, c->guest);
    case 8:
        d->row[c->guest].outcome = "ended";
        return XF_DRAIN_END_STAYED;
    }
    d->row[c->guest].outcome = c->cancelled ? "cancelled" : NULL;
    return XF_DRAIN_END_STAYED;
}

enum xf_drain_end drain_judge(struct drain *d, struct drain_child *c)
{
    struct drain_row *r = &d->row[c->guest];
    int status = WIFEXITED(c->status) ? WEXITSTATUS(c->status) : -1;

    r->exit_status = status;
    r->code[0] = 0;
    r->outcome = NULL;
    if (c->said.forecasts) {
        r->forecasts = true;
        r->forecast = c->said.forecast;
    }
    if (!status)
        return moved(d, c);
    take_reason(r, c);
    if (d->args->undo)
        return judge_undo(d, c, status);
    switch (status) {
    case 1:
        return refused(d, c);
    case 3:
        return stays(d, c->guest, XF_DRAIN_END_STAYED, c->cancelled ? "cancelled" : "stayed");
    case 4:
        return stays(d, c->guest, XF_DRAIN_END_STAYED, "resumed");
    case 5:
    case 6:
    case 7:
        return stuck(d, c->guest);
    }
    return ask_xen(d, c);
}
