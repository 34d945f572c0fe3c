/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Running a drain: see drain.h. The scheduler says what to start; children do it; Xen and the moves
 * of this host are looked at when something happens that no child reports.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/moves/status.h"
#include "tools/drain.h"
#include "tools/format.h"
#include "transport/clock.h"
#include "transport/text.h"

/* How often moves are looked at that another process makes. */
#define LOOK_MS 1000
#define SELF "/proc/self/exe"
/* Of a host's name or address, or user@host: nothing that a shell would change. */
#define HOST_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:@%_-"

/* --- looking --- */

static const struct xf_status *move_of(const struct xf_status_list *all, bool source,
                                       uint32_t domid)
{
    for (unsigned i = 0; i < all->nr; i++)
        if (all->list[i].source == source && all->list[i].domid == domid)
            return &all->list[i];
    return NULL;
}

static void newcomer(struct drain *d, const struct xf_guest *g, const struct xf_status_list *all)
{
    const struct xf_status *out = move_of(all, true, g->domid);
    enum xf_drain_state state = XF_DRAIN_TODO;
    int i;

    /* Counted as arriving; until all its memory is here it cannot leave. */
    if (move_of(all, false, g->domid) || (g->state == XF_GUEST_INCOMING && all->silent))
        return;
    if (out || (g->state == XF_GUEST_SUSPENDED && all->silent))
        state = XF_DRAIN_ELSEWHERE;
    else if (g->state == XF_GUEST_SUSPENDED)
        state = XF_DRAIN_STUCK;
    else if (g->state != XF_GUEST_RUNS)
        state = XF_DRAIN_OUT;
    i = drain_add(d, g, state);
    if (i < 0) {
        drain_say(d, -1, "%s is one guest too many, and stays", g->name);
        return;
    }
    if (out)
        memcpy(d->row[i].to, out->host, sizeof(d->row[i].to));
    if (state == XF_DRAIN_STUCK) {
        d->row[i].outcome = "suspended";
        snprintf(d->row[i].reason, sizeof(d->row[i].reason),
                 "it is suspended here, as a move leaves it; `xl migrate-recover %.128s` finishes "
                 "that move, or says what to do",
                 g->name);
    } else if (g->state == XF_GUEST_INCOMING) {
        d->row[i].outcome = "not a guest";
        snprintf(d->row[i].reason, sizeof(d->row[i].reason),
                 "a move that has died was building it here; `xl destroy %.150s`", g->name);
    }
}

/* One that another process moves: has that ended? */
static void follow(struct drain *d, unsigned i, const struct xf_guest *here,
                   const struct xf_status_list *all)
{
    struct drain_row *r = &d->row[i];
    const struct xf_status *out = here ? move_of(all, true, here->domid) : NULL;
    struct xf_err err = {0};

    if (out && out->host[0])
        memcpy(r->to, out->host, sizeof(r->to));
    if (out || (here && all->silent))
        return;
    if (here && here->state == XF_GUEST_RUNS) {
        xf_drain_ended(&d->sched, i, XF_DRAIN_END_AGAIN);
    } else if (here && here->state == XF_GUEST_SUSPENDED) {
        r->outcome = "unfinished";
        snprintf(r->reason, sizeof(r->reason),
                 "`xl migrate-recover %.128s` finishes the move that another process began, or "
                 "says what to do",
                 r->at.name);
        xf_drain_ended(&d->sched, i, XF_DRAIN_END_STUCK);
    } else if (here) {
        xf_drain_ended(&d->sched, i, XF_DRAIN_END_OUT);
    } else {
        r->reason[0] = 0;
        if (r->to[0] && drain_note(d, i, r->to, true, &err))
            drain_say(d, (int)i, "%s", err.text);
        xf_drain_ended(&d->sched, i, XF_DRAIN_END_LEFT);
        drain_say(d, (int)i, "has left, moved by another process");
    }
}

int drain_look(struct drain *d, struct xf_err *err)
{
    unsigned known = d->sched.nr_guests, n;
    struct xf_status_list all = {0};
    struct xf_guest *list;

    if (xf_guests(&list, &n, err))
        return -1;
    if (xf_statuses(&all, NULL))
        all.nr = 0; /* no move has been made here */
    /* Also those for which nothing is built yet: CHECK accepted them before the drain began. */
    d->arriving = 0;
    for (unsigned i = 0; i < all.nr; i++)
        d->arriving += !all.list[i].source;
    for (unsigned i = 0; i < known; i++) {
        const struct xf_guest *here = NULL;

        if (d->sched.guest[i].state != XF_DRAIN_ELSEWHERE)
            continue;
        for (unsigned k = 0; k < n; k++)
            if (list[k].domid == d->row[i].at.domid && !strcmp(list[k].uuid, d->row[i].at.uuid))
                here = &list[k];
        follow(d, i, here, &all);
    }
    for (unsigned k = 0; k < n; k++) {
        int i = drain_find(d, list[k].uuid);

        /* A guest that left and came back, before newcomers were refused or by force. */
        if (i >= 0 && d->sched.guest[i].state == XF_DRAIN_LEFT && !d->args->check &&
            list[k].domid != d->row[i].at.domid && list[k].state == XF_GUEST_RUNS &&
            d->sched.guest[i].starts < XF_DRAIN_STARTS) {
            d->row[i].at = list[k];
            d->sched.guest[i].state = XF_DRAIN_TODO;
        } else if (i < 0) {
            newcomer(d, &list[k], &all);
        }
    }
    xf_statuses_free(&all);
    free(list);
    return 0;
}

/* --- starting --- */

/* 'TEXT' for a shell; size: four times the text's length and three suffice. */
static void quote(char *out, size_t size, const char *text)
{
    size_t n = 0;

    out[n++] = '\'';
    for (; *text && n + 6 < size; text++) {
        if (*text == '\'')
            n += (size_t)snprintf(out + n, size - n, "'\\''");
        else
            out[n++] = *text;
    }
    out[n++] = '\'';
    out[n] = 0;
}

/*
 * sh -c UNDO sh MOVE CANCEL: runs MOVE at the host that has the guest. An ssh that is killed ends
 * nothing there, so SIGINT runs CANCEL there, and the end of MOVE is waited for all the same. The
 * %s are ssh and the host. A `wait` that a signal has interrupted is repeated; 127: there is
 * nothing left to wait for.
 */
#define UNDO                                                                                       \
    "there() { %s %s \"$1\"; }\n"                                                                  \
    "told=; trap 'told=1; there \"$2\" >/dev/null 2>&1' INT\n"                                     \
    "there \"$1\" & move=$!\n"                                                                     \
    "wait $move; status=$?\n"                                                                      \
    "while [ \"$told\" ]; do\n"                                                                    \
    "    told=; wait $move; again=$?\n"                                                            \
    "    [ $again = 127 ] || status=$again\n"                                                      \
    "done\n"                                                                                       \
    "exit $status\n"

static int start_undo(struct drain *d, unsigned i, unsigned host, struct xf_err *err)
{
    char name[4 * 160 + 8], back[4 * 256 + 8], move[2048], cancel[1024], *script;
    char *argv[] = {(char *)"sh", (char *)"-c", NULL, (char *)"sh", move, cancel, NULL};
    int rc;

    if (!d->row[i].at.name[strspn(d->row[i].at.name, "0123456789")])
        return xf_fail(err, EINVAL, "its name would be taken for a number there; move it by hand");
    /* A move by -s '' went to a command instead of a host. */
    if (d->host[host][0] == '-' || d->host[host][strspn(d->host[host], HOST_LETTERS)])
        return xf_fail(err, EINVAL, "\"%.200s\" is no name of a host; move it by hand",
                       d->host[host]);
    quote(name, sizeof(name), d->row[i].at.name);
    quote(back, sizeof(back), d->back);
    snprintf(move, sizeof(move), "xl migrate --json -- %s %s", name, back);
    snprintf(cancel, sizeof(cancel), "xl migrate-cancel -- %s", name);
    if (asprintf(&script, UNDO, d->ssh ? d->ssh : "ssh", d->host[host]) < 0)
        return xf_fail(err, ENOMEM, "out of memory");
    argv[2] = script;
    rc = children_start(&d->children, "/bin/sh", argv, i, host, err);
    free(script);
    return rc;
}

static int start_here(struct drain *d, unsigned i, unsigned host, bool check, struct xf_err *err)
{
    char domid[16];
    char *argv[12];
    int n = 0;

    snprintf(domid, sizeof(domid), "%u", d->row[i].at.domid);
    argv[n++] = (char *)"xl";
    argv[n++] = (char *)"migrate";
    argv[n++] = (char *)"--json";
    if (check)
        argv[n++] = (char *)"--check";
    if (d->ssh) {
        argv[n++] = (char *)"-s";
        argv[n++] = (char *)d->ssh;
    }
    argv[n++] = (char *)"--";
    argv[n++] = domid;
    argv[n++] = d->host[host];
    argv[n] = NULL;
    return children_start(&d->children, SELF, argv, i, host, err);
}

/* --- asking first --- */

/* In a plan nothing moves: what was planned for a host before its free memory, or the guest's need,
 * was known has to be taken from it now. */
static void book_planned(struct drain *d, unsigned host)
{
    struct xf_drain_host *h = &d->sched.host[host];

    for (unsigned i = 0; i < d->sched.nr_guests; i++) {
        struct xf_drain_guest *g = &d->sched.guest[i];
        uint64_t more;

        if ((g->state != XF_DRAIN_GOING && g->state != XF_DRAIN_LEFT) || g->host != host ||
            g->need_kib <= g->booked_kib)
            continue;
        more = g->need_kib - g->booked_kib;
        if (more > h->free_kib)
            more = h->free_kib;
        h->free_kib -= more;
        g->booked_kib += more;
    }
}

static void take_answer(struct drain *d, const struct drain_child *c)
{
    const struct xf_forecast *f = &c->said.forecast;
    struct xf_drain_guest *g = &d->sched.guest[c->guest];
    struct xf_drain_host *h = &d->sched.host[c->host];

    if (!c->said.forecasts)
        return;
    if (f->memory_needed_kib != UINT64_MAX)
        g->need_kib = f->memory_needed_kib;
    if (d->args->order == DRAIN_BY_WORKING_SET && f->working_set_pages < UINT64_MAX / 4)
        g->rank = f->working_set_pages * 4;
    if (!h->known && f->memory_free_kib != UINT64_MAX) {
        h->known = true;
        h->free_kib = f->memory_free_kib;
    }
    if (d->args->check)
        book_planned(d, c->host);
}

static void interrupt(struct drain *d)
{
    if (xf_drain_interrupt(&d->sched)) {
        drain_say(d, -1, "cancelling %u under way", d->children.n);
        children_cancel(&d->children);
    } else {
        drain_say(d, -1, "ends after the %u under way; Ctrl-C once more cancels them",
                  d->children.n);
    }
}

/* Question number n: first each guest to the first host, then each further host about the first
 * guest. False: there are no more. */
static bool question(const struct drain *d, unsigned n, unsigned *guest, unsigned *host)
{
    unsigned of_guests = d->args->order == DRAIN_BY_WORKING_SET ? d->sched.nr_guests : 1;

    *guest = n < of_guests ? n : 0;
    *host = n < of_guests ? 0 : n - of_guests + 1;
    return d->sched.nr_guests && *host < d->sched.nr_hosts;
}

void drain_ask(struct drain *d)
{
    unsigned n = 0, guest, host;
    bool more = d->args->order == DRAIN_BY_WORKING_SET || d->sched.nr_hosts > 1;
    struct drain_child *c;

    for (;;) {
        while (more && !d->sched.interrupts && d->children.n < d->sched.limit) {
            more = question(d, n++, &guest, &host);
            if (more && d->sched.guest[guest].state == XF_DRAIN_TODO)
                start_here(d, guest, host, true, NULL); /* without an answer it is not known */
        }
        if (!d->children.n)
            return;
        switch (children_wait(&d->children, -1, &c)) {
        case CHILD_ENDED:
            take_answer(d, c);
            children_forget(c);
            break;
        case CHILD_INTERRUPT:
            interrupt(d);
            break;
        case CHILD_TIME:
            break;
        }
    }
}

/* --- running --- */

static void start(struct drain *d, unsigned i, unsigned host)
{
    struct drain_row *r = &d->row[i];
    struct xf_err err = {0};
    int rc;

    memcpy(r->to, d->host[host], sizeof(r->to));
    if (d->args->undo)
        rc = start_undo(d, i, host, &err);
    else
        rc = drain_note(d, i, r->to, false, &err) || start_here(d, i, host, d->args->check, &err);
    if (rc) {
        snprintf(r->reason, sizeof(r->reason), "%s", err.text);
        xf_drain_ended(&d->sched, i, XF_DRAIN_END_STAYED);
    } else if (!d->args->check && !d->args->json) {
        drain_say(d, (int)i, d->args->undo ? "back from %.200s" : "to %.200s", r->to);
    }
}

static void ended(struct drain *d, struct drain_child *c)
{
    unsigned i = c->guest;
    enum xf_drain_end end;
    char took[FMT_LEN];

    if (d->args->check)
        take_answer(d, c);
    drain_page_add(d, c);
    end = drain_judge(d, c);
    xf_drain_ended(&d->sched, i, end);
    if (!d->args->check && !d->args->json) {
        if (end == XF_DRAIN_END_LEFT && d->row[i].total_s >= 0)
            drain_say(d, (int)i, "%s in %s", drain_outcome(d, i),
                      fmt_duration(took, d->row[i].total_s));
        else
            drain_say(d, (int)i, "%s%s%s", drain_outcome(d, i), d->row[i].reason[0] ? ": " : "",
                      d->row[i].reason);
    }
    children_forget(c);
}

/* Are there moves that no child reports? */
static bool others_move(const struct drain *d)
{
    return d->arriving || xf_drain_count(&d->sched, XF_DRAIN_ELSEWHERE);
}

/* Nothing is under way. Returns 1 if there is more to do after all: a guest that has come, or that
 * another process moves; 0: no; -1: an error. */
static int is_more(struct drain *d, struct xf_err *err)
{
    if (d->args->undo || d->args->check)
        return 0;
    if (drain_look(d, err))
        return -1;
    return others_move(d) || xf_drain_count(&d->sched, XF_DRAIN_TODO);
}

int drain_run(struct drain *d, struct xf_err *err)
{
    enum xf_drain_action action;
    struct drain_child *c;
    unsigned guest, host;
    int rc;

    for (;;) {
        while ((action = xf_drain_next(&d->sched, &guest, &host)) == XF_DRAIN_START)
            start(d, guest, host);
        if (!d->children.n && d->sched.interrupts)
            return 0;
        if (action == XF_DRAIN_DONE) {
            rc = is_more(d, err);
            if (rc <= 0)
                return rc;
            if (!d->arriving)
                continue;
        }
        switch (children_wait(&d->children, others_move(d) ? LOOK_MS : -1, &c)) {
        case CHILD_ENDED:
            ended(d, c);
            break;
        case CHILD_INTERRUPT:
            interrupt(d);
            break;
        case CHILD_TIME:
            if (drain_look(d, err))
                return -1;
            break;
        }
    }
}
