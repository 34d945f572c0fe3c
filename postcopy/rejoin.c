/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PULL over as many links as it takes: see rejoin.h. */
#include "postcopy/rejoin.h"

#include <errno.h>

#include "transport/clock.h"

/* Between two attempts to connect, or to listen: a refusal is immediate. */
#define AGAIN_MS 100
/* Sink: how long it waits for a connection before it checks its guest. */
#define STEP_MS 100
/* Sink: pause before it takes pages again after there was no memory for one. */
#define SHORT_MS 3000

static void pause_a_while(void)
{
    const struct timespec pause = {.tv_nsec = AGAIN_MS * 1000000l};

    nanosleep(&pause, NULL);
}

static void tell(struct xf_rejoin *r, const struct xf_err *why)
{
    if (r->link_changed)
        r->link_changed(r->priv, why);
}

/* --- source --- */

struct sourcing {
    struct xf_rejoin *r;
    struct xf_server *s;
    struct xf_link *link;
};

/* Between two links, too, check that the guest stands still. And has the sink's side answered
 * any channel of the next one? */
static int connect_tick(void *priv, struct xf_err *err)
{
    struct sourcing *a = priv;

    if (a->link->control)
        xf_outage_tried(&a->r->outage, true);
    return xf_server_check(a->s, err) || xf_tick(a->r->tick, err) ? -1 : 0;
}

static int serve_tick(void *priv, struct xf_err *err)
{
    struct sourcing *a = priv;
    struct xf_server_status status;

    if (a->r->outage.on) {
        xf_server_status(a->s, &status);
        xf_outage_told(&a->r->outage, status.pulled.missing);
    }
    return xf_tick(a->r->tick, err);
}

/* Result of attempts to make a link. */
enum attempt {
    ATTACHED,
    NOT_NOW,  /* no link could be made */
    GIVEN_UP, /* tick ended it, or this side cannot go on */
};

/* One attempt; why: its failure. */
static enum attempt connect_once(struct xf_rejoin *r, struct xf_server *s, struct xf_link *link,
                                 struct xf_err *why)
{
    struct sourcing a = {r, s, link};
    const struct xf_tick tick = {connect_tick, &a};
    struct xf_server_status status;
    int64_t began = xf_now_ms();
    enum attempt end = NOT_NOW;

    if (connect_tick(&a, why))
        return GIVEN_UP;
    if (!xf_link_connect(link, &r->cfg, &r->peer, true, tick, why)) {
        xf_link_watch(link, r->tick);
        /* r->tick: a guest that runs here is found by xf_server_run(), which tells the sink. */
        xf_outage_tried(&r->outage, true);
        if (!xf_server_attach(s, link, r->tick, why))
            end = ATTACHED;
        else if (why->whose == XF_OURS)
            end = GIVEN_UP;
    }
    if (link->control) {
        xf_gone_met(&r->gone);
    } else {
        r->gone_ms = xf_gone_tried(&r->gone, why, began, xf_now_ms());
        xf_outage_tried(&r->outage, false);
    }
    if (end != ATTACHED) {
        xf_link_close(link);
        return end;
    }
    xf_server_status(s, &status);
    xf_outage_again(&r->outage, status.left);
    return ATTACHED;
}

/*
 * Make attempts until one has attached: for wait_ms (-1: without limit), and until r->gone decides
 * that the sink is gone; a sink between two links stops listening for a moment, so one refusal
 * means nothing. NOT_NOW: a limit was reached. err is that of the last attempt.
 */
static enum attempt connect_again(struct xf_rejoin *r, struct xf_server *s, struct xf_link *link,
                                  int wait_ms, struct xf_err *err)
{
    int64_t until = xf_now_ms() + wait_ms;

    xf_gone_met(&r->gone);
    for (;;) {
        struct xf_err why = {0};
        enum attempt end;

        r->gone_ms = 0;
        end = connect_once(r, s, link, &why);
        if (end == NOT_NOW && (wait_ms < 0 || xf_now_ms() < until) && !r->gone_ms) {
            pause_a_while();
            continue;
        }
        if (end != ATTACHED && err)
            *err = why;
        return end;
    }
}

int xf_rejoin_take_over(struct xf_rejoin *r, struct xf_server *s, struct xf_link *link, int wait_ms,
                        int refused_ms, struct xf_err *err)
{
    struct xf_gone usual = r->gone;
    enum attempt end;

    r->gone.limit_ms[XF_ANSWER_REFUSED] = refused_ms;
    end = connect_again(r, s, link, wait_ms, err);
    r->gone = usual;
    return end == ATTACHED ? 0 : -1;
}

enum xf_pull_end xf_rejoin_serve(struct xf_rejoin *r, struct xf_server *s, struct xf_link *link,
                                 struct xf_err *err)
{
    struct sourcing a = {r, s, link};
    enum xf_pull_end end = XF_PULL_LOST;
    struct xf_server_status status;

    while (end == XF_PULL_LOST) {
        struct xf_err why = {0};

        if (!link->control) {
            enum attempt made = connect_again(r, s, link, -1, err);

            if (made != ATTACHED) {
                end = made == GIVEN_UP ? XF_PULL_FAILED : XF_PULL_GONE;
                break;
            }
            tell(r, NULL);
        }
        end = xf_server_run(s, (struct xf_tick){serve_tick, &a}, &why);
        xf_server_status(s, &status);
        xf_outage_told(&r->outage, end == XF_PULL_DONE ? 0 : status.pulled.missing);
        if (end == XF_PULL_LOST) {
            xf_outage_lost(&r->outage, status.heard);
            tell(r, &why);
            xf_link_close(link);
        } else if (why.num && err) {
            *err = why;
        }
    }
    xf_link_close(link);
    return end;
}

/* --- sink --- */

struct waiting {
    struct xf_rejoin *r;
    struct xf_pager *p;
    struct xf_link *link; /* in use, or being attached; NULL: none yet */
    bool called;          /* the source has begun another link, so `link` was given up */
    bool ended;           /* the guest has ended: the source is awaited only to tell it */
    enum xf_pull_end end; /* why the wait is over */
    double until;         /* end of the wait if the source is not needed here any more; else 0 */
    int done_ms;          /* length of that wait */
};

/* Take connections while a link is in use; a stranger's failure does not concern the guest. */
static void look_for_source(struct waiting *w)
{
    xf_gather_step(w->r->gather, 0, NULL);
    if (!w->link || w->called || !xf_gather_called(w->r->gather))
        return;
    w->called = true;
    xf_link_abort(w->link);
}

/* The last missing page may also disappear without a source: the guest releases it. */
static bool is_whole(struct waiting *w)
{
    struct xf_pulled pulled;

    xf_pager_status(w->p, &pulled);
    return !pulled.missing;
}

static int wait_tick(void *priv, struct xf_err *err)
{
    struct waiting *w = priv;

    if (w->link)
        look_for_source(w);
    if (!w->ended) {
        w->end = xf_pager_check(w->p, err);
        if (w->end != XF_PULL_LOST)
            return -1;
    }
    if (w->until <= 0 && is_whole(w))
        w->until = xf_now() + w->done_ms / 1000.0;
    if (w->until > 0 && xf_now() > w->until) {
        w->end = w->ended ? XF_PULL_ENDED : XF_PULL_DONE;
        return -1;
    }
    if (xf_tick(w->r->tick, err)) {
        w->end = w->ended ? XF_PULL_ENDED : XF_PULL_FAILED;
        return -1;
    }
    return 0;
}

static int pull_tick(void *priv, struct xf_err *err)
{
    struct waiting *w = priv;

    look_for_source(w);
    return xf_tick(w->r->tick, err);
}

/* Gather all channels of a link. XF_AGAIN: not yet. */
static int gather(struct waiting *w, struct xf_link *link)
{
    struct xf_rejoin *r = w->r;
    struct xf_gather *g = r->gather;
    uint16_t port;
    int rc;

    /* A process that has taken the port may release it again; the guest depends on this sink. */
    if (!g->nr && xf_gather_listen(g, r->ops, &r->cfg, r->addr, r->port, &port, NULL)) {
        pause_a_while();
        return XF_AGAIN;
    }
    rc = xf_gather_step(g, STEP_MS, NULL);
    if (!rc) {
        xf_gather_take(g, link);
        return 0;
    }
    if (rc < 0) { /* whatever failed may fail again at once */
        xf_gather_unlisten(g, NULL);
        pause_a_while();
    } else if (xf_gather_called(g) && xf_now_ms() - g->began > r->cfg.timeout_ms) {
        xf_link_close(&g->link); /* the source has gone away halfway */
    }
    return XF_AGAIN;
}

/* Wait until a source has attached, or the wait is over: w->end is not XF_PULL_LOST then. */
static void await_source(struct waiting *w, struct xf_link *link, struct xf_err *err)
{
    int (*attach)(struct xf_pager *, struct xf_link *, struct xf_tick, struct xf_err *) =
        w->ended ? xf_pager_attach_ended : xf_pager_attach;

    w->r->gather->urgent = true;
    for (;;) {
        struct xf_err why = {0};
        int rc;

        w->link = NULL;
        w->called = false;
        if (gather(w, link)) {
            rc = wait_tick(w, &why);
        } else {
            w->link = link;
            rc = attach(w->p, link, (struct xf_tick){wait_tick, w}, &why);
            if (!rc) {
                xf_link_watch(link, w->r->tick);
                return;
            }
            xf_link_close(link);
            w->link = NULL;
        }
        if (w->end != XF_PULL_LOST) {
            if (err && w->end != XF_PULL_DONE)
                *err = why;
            return;
        }
        if (rc)
            pause_a_while(); /* whatever failed may fail again at once */
    }
}

/* XF_PULL_LOST: attached. Else how PULL ended. */
static enum xf_pull_end accept_again(struct xf_rejoin *r, struct xf_pager *p, struct xf_link *link,
                                     int done_ms, struct xf_err *err)
{
    struct waiting w = {.r = r, .p = p, .end = XF_PULL_LOST, .done_ms = done_ms};

    await_source(&w, link, err);
    if (w.end == XF_PULL_LOST)
        tell(r, NULL);
    return w.end;
}

/* The guest has ended, and the source does not know: if it is not told, it keeps the pages and
 * goes on trying to send them. */
static void wait_to_tell(struct xf_rejoin *r, struct xf_pager *p, struct xf_link *link, int done_ms)
{
    struct waiting w = {
        .r = r, .p = p, .ended = true, .end = XF_PULL_LOST, .until = xf_now() + done_ms / 1000.0};

    xf_link_close(link);
    await_source(&w, link, NULL);
}

/* The cause of the lost link may be on this side, and would break the next one at once. */
static void rest(struct xf_rejoin *r, struct xf_pager *p, int ms)
{
    for (; ms > 0; ms -= AGAIN_MS) {
        pause_a_while();
        if (xf_pager_check(p, NULL) != XF_PULL_LOST || xf_tick(r->tick, NULL))
            return; /* the next wait finds the same */
    }
}

enum xf_pull_end xf_rejoin_take(struct xf_rejoin *r, struct xf_pager *p, struct xf_link *link,
                                int done_ms, struct xf_err *err)
{
    enum xf_pull_end end;

    do {
        struct waiting w = {.r = r, .p = p, .link = link};
        struct xf_err why = {0};

        end = xf_pager_run(p, (struct xf_tick){pull_tick, &w}, &why);
        if (end != XF_PULL_LOST) {
            if (why.num && err)
                *err = why;
            break;
        }
        if (w.called) {
            xf_clear(&why);
            xf_fail_link(&why, ECONNRESET, "the source has opened another link");
        }
        tell(r, &why);
        xf_link_close(link);
        rest(r, p, why.num == ENOMEM ? SHORT_MS : AGAIN_MS);
        end = accept_again(r, p, link, done_ms, err);
    } while (end == XF_PULL_LOST);
    if (end == XF_PULL_ENDED && !xf_pager_source_knows(p))
        wait_to_tell(r, p, link, done_ms);
    xf_link_close(link);
    xf_gather_unlisten(r->gather, NULL);
    return end;
}
