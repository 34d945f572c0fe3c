/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waiting for a move's turn at the source: see move_queue.h. While it waits it holds no slot, has
 * no peer, and does next to nothing: many moves may wait at the same time. Which of them is next is
 * not promised.
 */
#include "libxl-ext/source/move_queue.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/random.h>

#include "libxl-ext/moves/slot.h"
#include "libxl-ext/moves/turn.h"
#include "libxl-ext/source/move_check.h"
#include "libxl-ext/source/move_status.h"
#include "transport/clock.h"

/* How often to look for a free slot here, if nothing announces one. */
#define LOOK_MS 10000
#define IDLE_MS 2000 /* between two looks whether the move was cancelled */
/* After a slot has been given back, so that not all look at the same moment. */
#define HERD_MS 20
/* The destination is asked again, by one of those who wait for it, after 1, 2, 4, ... seconds, with
 * a jitter that parts two hosts which refuse each other because both have just asked. */
#define AGAIN_MS 1000
#define AGAIN_MAX_MS 10000
#define TICK_MS 1000
/* For a receiver that has refused to end by itself. */
#define PEER_ENDS_MS 2000

struct queue {
    struct xf_move *m;
    double since; /* when it began to wait; 0: it has not */
    bool told;
    int watch, again_ms;
    int turn;      /* -1: not opened */
    bool our_turn; /* to ask it again */
    bool there;    /* what is waited for is at the destination */
    unsigned busy, limit;
};

/* From half to one and a half times as much. */
static int jitter(int ms)
{
    unsigned r = 0;

    if (getrandom(&r, sizeof(r), GRND_NONBLOCK) < 0)
        r = (unsigned)xf_now_ns();
    return ms / 2 + (int)(r % (unsigned)ms);
}

/* Time is up: the finding says what for. */
static int refuse(struct queue *q, struct xf_err *err)
{
    struct xf_findings found = {0};

    xf_find_limit(&found, XF_REFUSAL, q->there ? "the destination" : "this host",
                  q->there ? "/etc/xen/xenferry.xml there" : "/etc/xen/xenferry.xml", q->busy,
                  q->limit);
    return xf_move_tell_findings(q->m, &found, err);
}

/* Show what is waited for. -1: it is waited for no longer. */
static int waits(struct queue *q, struct xf_err *err)
{
    struct xf_move *m = q->m;
    double now = xf_now();

    if (m->o->cancel && *m->o->cancel)
        return xf_fail(err, ECANCELED, "interrupted");
    if (!q->since)
        q->since = now;
    if (m->o->wait_s >= 0 && now - q->since >= m->o->wait_s)
        return refuse(q, err);
    xf_move_waits(m, "%u move%s under way %s%.80s, limit %u", q->busy, q->busy == 1 ? "" : "s",
                  q->there ? "at " : "here", q->there ? m->o->host : "", q->limit);
    if (!q->told)
        xf_move_note(m, "waiting: %s", m->show.waits_for);
    q->told = true;
    return 0;
}

/* No longer than until the time is up. */
static int within(const struct queue *q, int ms)
{
    double left = q->since + q->m->o->wait_s - xf_now();

    return q->m->o->wait_s < 0 || left * 1000 >= ms ? ms : left > 0 ? (int)(left * 1000) + 1 : 0;
}

/* Until a slot of this host may have become free, or it is time to look again. */
static void await_news(const struct queue *q)
{
    int64_t until = xf_now_ms() + within(q, jitter(LOOK_MS));
    const struct xf_move_opts *o = q->m->o;

    while (xf_ms_left(until) && !(o->cancel && *o->cancel)) {
        int ms = xf_ms_left(until);

        if (!xf_slot_await(q->watch, ms < IDLE_MS ? ms : IDLE_MS))
            continue;
        nanosleep(&(struct timespec){.tv_nsec = jitter(HERD_MS) * 1000000L}, NULL);
        break;
    }
}

/* One of this host's slots. */
static int await_slot(struct queue *q, struct xf_err *err)
{
    struct xf_move *m = q->m;
    int rc;

    q->there = false;
    while ((rc = xf_slot_take(q->limit, &m->slot, &q->busy, err)) == XF_SLOT_NONE) {
        if (waits(q, err))
            return -1;
        if (q->watch < 0)
            q->watch = xf_slot_watch();
        await_news(q);
    }
    return rc;
}

/* Until it is our turn to ask the destination. *waited: somebody else had it, and was accepted. */
static int await_turn(struct queue *q, bool *waited, struct xf_err *err)
{
    *waited = false;
    if (q->our_turn)
        return 0;
    q->turn = xf_turn_open(q->m->o->host);
    while (xf_turn_take(q->turn)) {
        *waited = true;
        if (waits(q, err))
            return -1;
        xf_slot_await(-1, within(q, TICK_MS));
    }
    q->our_turn = true;
    return 0;
}

/* The destination has no slot: let some time pass. */
static int pass_time(struct queue *q, struct xf_err *err)
{
    double until = xf_now() + jitter(q->again_ms) / 1000.0, left;

    while ((left = until - xf_now()) > 0) {
        if (waits(q, err))
            return -1;
        xf_slot_await(-1, within(q, left * 1000 < TICK_MS ? (int)(left * 1000) + 1 : TICK_MS));
    }
    q->again_ms = 2 * q->again_ms < AGAIN_MAX_MS ? 2 * q->again_ms : AGAIN_MAX_MS;
    return 0;
}

static int attend(struct queue *q, struct xf_err *err)
{
    struct xf_move *m = q->m;
    bool again = false, waited;
    int rc;

    snprintf(m->show.waits_for, sizeof(m->show.waits_for), "its turn");
    for (;;) {
        q->limit = m->o->moves ? m->o->moves : XF_MOVES_USUAL;
        if (xf_move_check_begin(m, err) || await_slot(q, err))
            return -1;
        /* A destination that had no slot may still have none. */
        if (!again)
            xf_move_waits(m, "%s", "");
        rc = xf_move_check(m, err);
        if (rc != XF_MOVE_FULL) {
            xf_move_waits(m, "%s", "");
            return rc;
        }
        again = q->there = true;
        q->busy = m->check.reply.moves;
        q->limit = m->check.reply.moves_limit;
        if (waits(q, err)) /* before the slot is free: who counts moves never counts too many */
            return -1;
        xf_slot_give(&m->slot);
        xf_move_uncheck(m, PEER_ENDS_MS);
        if (await_turn(q, &waited, err) || (!waited && pass_time(q, err)))
            return -1;
    }
}

int xf_move_queue(struct xf_move *m, struct xf_err *err)
{
    struct queue q = {.m = m, .watch = -1, .turn = -1, .again_ms = AGAIN_MS};
    int rc;

    if (m->o->check_only)
        return xf_move_check(m, err);
    rc = attend(&q, err);
    xf_turn_end(&q.turn);
    if (q.watch >= 0)
        close(q.watch);
    if (q.since)
        m->report->waited_s = xf_now() - q.since;
    return rc;
}
