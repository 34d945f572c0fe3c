/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SWITCH at the source. Everything here is downtime, so this is all that is done:
 *
 *     suspend the guest (the pages to be sent after GO have been chosen by then: leave.c)
 *     read the dirty log a last time, queue the pages it names
 *     read the CPU state and send it on the control channel, in parallel with the pages
 *     wait for "loaded" and for every channel's sync           (one round trip)
 *     GO; wait for "running"
 *
 * Until GO is written any failure resumes the guest here. From then on it may run only at the
 * destination.
 */
#include "precopy/copy_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pages/rings.h"
#include "precopy/hold.h"
#include "precopy/state_link.h"

#define TICK_MS 20
/* How long SWITCH may take beyond its prediction before it is given up. The guest stands still
 * meanwhile, so a dead link must not cost more than seconds. */
#define SWITCH_GRACE_S 3.0
/* How long to wait for "running" after GO. Nothing can be undone by then; the peer answers
 * within a round trip or not at all. */
#define RUNNING_WAIT_S 10.0

static int last_set(struct xf_copy *c, struct xf_err *err)
{
    unsigned long *todo = c->order.todo;
    bool settled;

    if (c->vm->ops->log_read(c->vm, XF_LOG_LAST, c->dirty, err))
        return -1;
    memcpy(todo, c->dirty, xf_bitmap_words(c->vm->nr_gfns) * sizeof(*todo));
    if (xf_presence_settled(&c->presence, c->opts.policy.max_downtime_s / 10, &settled, err))
        return -1;
    if (settled)
        xf_presence_owed(&c->presence, todo);
    else if (xf_presence_sweep(&c->presence, todo, err))
        return -1;
    xf_drop_rings(c->vm, todo);
    if (c->missing)
        xf_copy_settle(c);
    xf_order_begin(&c->order, NULL);
    c->times.pages = c->order.left;
    c->times.log_read = xf_now();
    return 0;
}

static int send_state(struct xf_copy *c, struct xf_err *err)
{
    struct xf_state state = {0};
    int rc = c->vm->ops->state(c->vm, &state, err);

    if (!rc)
        rc = xf_state_send(c->link, &state, err);
    xf_state_free(&state);
    return rc;
}

/* Wait until the peer has loaded the state and confirmed every page. */
static int wait_loaded(struct xf_copy *c, struct xf_err *err)
{
    uint8_t meta[XF_META_MAX];
    struct xf_msg m;
    bool loaded = false, synced = false;

    while (!loaded || !synced) {
        int rc = 0;

        if (!synced) {
            rc = xf_senders_sync_wait(c->senders, loaded ? TICK_MS : 1, err);
            synced = rc == 0;
        }
        if (rc >= 0 && !loaded) {
            rc = xf_link_hear(c->link, XF_MSG_LOADED, &m, meta, synced ? TICK_MS : 0, err);
            loaded = rc == 0;
            /* Older destinations say nothing of large pages. */
            if (loaded && m.meta_len)
                rc = xf_u64s_decode(&c->status.large_pages, 1, &m, meta, err);
            if (c->status.large_pages > c->status.whole_pages)
                c->status.large_pages = c->status.whole_pages;
        }
        if (rc < 0 || xf_copy_tick(c, err))
            return -1;
        if ((!loaded || !synced) && xf_copy_late(c, err))
            return -1;
    }
    c->times.loaded = xf_now();
    return 0;
}

static int hold(struct xf_copy *c, const char *point, struct xf_err *err)
{
    return xf_hold(point, (struct xf_tick){xf_copy_tick, c}, err);
}

static int until_loaded(struct xf_copy *c, struct xf_err *err)
{
    if (hold(c, "suspended", err))
        return -1;
    if (last_set(c, err))
        return -1;
    c->deadline = xf_now() + (c->opts.switch_s > 0 ? c->opts.switch_s : SWITCH_GRACE_S);
    if (c->status.page_rate > 0)
        c->deadline += 3 * (double)c->times.pages / c->status.page_rate;
    c->status.round_pages = c->times.pages;
    if (xf_copy_send_order(c, true, err) || xf_senders_sync_begin(c->senders, true, err) ||
        send_state(c, err) || (c->serve && c->serve(c->priv, err)))
        return -1;
    return wait_loaded(c, err);
}

/* If the peer has died or given up by now, the control channel shows it. Once GO is written
 * nothing can be undone, so this is the time to check; it costs one system call. */
static int still_there(struct xf_copy *c, struct xf_err *err)
{
    uint8_t meta[XF_META_MAX];
    struct xf_msg m;
    int rc = xf_link_hear(c->link, XF_MSG_RUNNING, &m, meta, 0, err);

    if (!rc)
        return xf_fail(err, EPROTO,
                       "the destination reports that the guest runs before GO was sent");
    return rc == XF_AGAIN ? 0 : -1;
}

/* The guest may have been destroyed meanwhile, so that its pages look like holes, or let run on.
 * The check costs one hypercall. */
static int still_here(struct xf_copy *c, struct xf_err *err)
{
    if (c->vm->ops->suspended(c->vm))
        return 0;
    return xf_fail(err, ESRCH,
                   "the guest is not suspended any more: somebody has destroyed it here, or "
                   "let it run on, while it was being moved");
}

enum xf_switch_end xf_switch_back(struct xf_copy *c, struct xf_err *err)
{
    struct xf_err why = {0};

    if (c->back)
        c->back(c->priv);
    if (!c->vm->ops->suspended(c->vm) || !c->vm->ops->resume(c->vm, &why))
        return XF_SWITCH_BACK;
    xf_wrap(err, "%s; and before that", why.text);
    return XF_SWITCH_STUCK;
}

/* While the guest still runs: changes that the caller finds are sent to the destination, or end
 * the move. */
static int last_look(struct xf_copy *c, struct xf_err *err)
{
    do {
        if (xf_copy_tick(c, err) || xf_copy_follow(c, err))
            return -1;
    } while (c->follow_due);
    return 0;
}

enum xf_switch_end xf_switch_go(struct xf_copy *c, int (*before_go)(void *priv, struct xf_err *err),
                                struct xf_err *err)
{
    uint8_t meta[XF_META_MAX];
    struct xf_msg m;
    double deadline;
    int rc;

    if (hold(c, "before-go", err) || (before_go && before_go(c->priv, err)) ||
        still_there(c, err) || still_here(c, err))
        return xf_switch_back(c, err);

    /* It cannot be known whether a GO that failed halfway has arrived: only a send that moved no
     * byte would be safe to undo, and TCP does not tell. */
    deadline = xf_now() + RUNNING_WAIT_S;
    if (xf_link_say_u64s(c->link, XF_MSG_GO, &c->nr_missing, c->missing ? 1 : 0, err))
        return XF_SWITCH_UNKNOWN;
    while ((rc = xf_link_hear(c->link, XF_MSG_RUNNING, &m, meta, TICK_MS, err)) == XF_AGAIN)
        if (xf_now() > deadline) {
            xf_fail(err, ETIMEDOUT, "the destination did not confirm that the guest runs");
            return XF_SWITCH_UNKNOWN;
        }
    if (rc)
        return XF_SWITCH_UNKNOWN;
    c->times.running = xf_now();
    return XF_SWITCHED;
}

enum xf_switch_end xf_switch(struct xf_copy *c, int (*before_go)(void *priv, struct xf_err *err),
                             struct xf_err *err)
{
    int rc;

    if (hold(c, "before-switch", err) || (xf_copy_leaves(c) && xf_copy_leave(c, err)))
        return XF_SWITCH_BACK;
    if (hold(c, "before-suspend", err) || last_look(c, err))
        return XF_SWITCH_BACK;
    c->times.began = xf_now();
    rc = c->vm->ops->suspend(c->vm, err);
    if (!rc || c->vm->ops->suspended(c->vm))
        c->times.suspended = xf_now();
    if (rc || until_loaded(c, err))
        return xf_switch_back(c, err);
    return xf_switch_go(c, before_go, err);
}
