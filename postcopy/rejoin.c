/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PULL over as many links as it takes: see rejoin.h. */
#include "postcopy/rejoin.h"

#include <errno.h>

#include "transport/clock.h"

/* Between two attempts to connect, or to listen: who refuses does so at once. */
#define AGAIN_MS 100
/* Sink: before it takes pages again for which there was no memory. */
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

/* The guest's standing still is watched between two links as well. */
struct watched {
    struct xf_rejoin *r;
    struct xf_server *s;
};

static int watched_tick(void *priv, struct xf_err *err)
{
    struct watched *w = priv;

    return xf_server_check(w->s, err) || w->r->tick(w->r->priv, err) ? -1 : 0;
}

/* One attempt. 0: attached. XF_AGAIN: the link could not be had, why says the reason. -1: tick
 * ended it, or this side cannot go on. */
static int connect_once(struct xf_rejoin *r, struct xf_server *s, struct xf_link *link,
                        struct xf_err *why)
{
    struct watched w = {.r = r, .s = s};
    int64_t began = xf_now_ms();
    int rc = XF_AGAIN;

    if (watched_tick(&w, why))
        return -1;
    if (!xf_link_connect(link, &r->cfg, &r->peer, true, watched_tick, &w, why)) {
        xf_link_watch(link, r->tick, r->priv);
        /* That the guest runs here is for xf_server_run() to find, which tells the sink. */
        rc = xf_server_attach(s, link, r->tick, r->priv, why);
    }
    if (link->control)
        xf_gone_met(&r->gone);
    else
        r->gone_ms = xf_gone_tried(&r->gone, why, began, xf_now_ms());
    if (rc)
        xf_link_close(link);
    return rc;
}

/*
 * Attempts, until one has attached: for wait_ms (-1: without end), and until r->gone says that
 * there is no sink any more; a sink between two links stops listening for a moment, so one refusal
 * says nothing. XF_AGAIN: that was too long, and err is that of the last attempt. -1 as in
 * connect_once().
 */
static int connect_again(struct xf_rejoin *r, struct xf_server *s, struct xf_link *link,
                         int wait_ms, struct xf_err *err)
{
    int64_t until = xf_now_ms() + wait_ms;

    xf_gone_met(&r->gone);
    for (;;) {
        struct xf_err why = {0};
        int rc;

        r->gone_ms = 0;
        rc = connect_once(r, s, link, &why);
        if (rc == XF_AGAIN && (wait_ms < 0 || xf_now_ms() < until) && !r->gone_ms) {
            pause_a_while();
            continue;
        }
        if (rc && err)
            *err = why;
        return rc;
    }
}

int xf_rejoin_take_over(struct xf_rejoin *r, struct xf_server *s, struct xf_link *link, int wait_ms,
                        int refused_ms, struct xf_err *err)
{
    struct xf_gone usual = r->gone;
    int rc;

    r->gone.limit_ms[XF_ANSWER_REFUSED] = refused_ms;
    rc = connect_again(r, s, link, wait_ms, err);
    r->gone = usual;
    return rc ? -1 : 0;
}

enum xf_pull_end xf_rejoin_serve(struct xf_rejoin *r, struct xf_server *s, struct xf_link *link,
                                 struct xf_err *err)
{
    enum xf_pull_end end = XF_PULL_LOST;

    while (end == XF_PULL_LOST) {
        struct xf_err why = {0};

        if (!link->control) {
            int rc = connect_again(r, s, link, -1, err);

            if (rc) {
                end = rc < 0 ? XF_PULL_FAILED : XF_PULL_GONE;
                break;
            }
            tell(r, NULL);
        }
        end = xf_server_run(s, r->tick, r->priv, &why);
        if (end == XF_PULL_LOST) {
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
    bool ended;           /* the guest: the source is awaited only to hear of that */
    enum xf_pull_end end; /* why the wait is over */
    double until;         /* nobody here needs the source any more: how long to wait; 0: not so */
    int done_ms;          /* ... from when that becomes so */
};

/* The last missing page may go while no source is there, too: the guest gives it back. */
static bool is_whole(struct waiting *w)
{
    struct xf_pulled pulled;

    xf_pager_status(w->p, &pulled);
    return !pulled.missing;
}

static int wait_tick(void *priv, struct xf_err *err)
{
    struct waiting *w = priv;

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
    if (w->r->tick(w->r->priv, err)) {
        w->end = w->ended ? XF_PULL_ENDED : XF_PULL_FAILED;
        return -1;
    }
    return 0;
}

/* A listener remembers who has connected, so each link needs a new one. */
static int listen_again(struct xf_rejoin *r, struct xf_err *err)
{
    uint16_t port;

    if (r->listener)
        r->ops->unlisten(r->listener);
    r->listener = NULL;
    return r->ops->listen(&r->cfg, r->addr, r->port, &r->listener, &port, err);
}

/* Until a source has attached, or the wait is over: w->end is not XF_PULL_LOST then. */
static void await_source(struct waiting *w, struct xf_link *link, struct xf_err *err)
{
    struct xf_rejoin *r = w->r;

    for (;;) {
        struct xf_err why = {0};
        int rc = XF_AGAIN;

        /* Who has taken the port meanwhile may leave it again; the guest has nobody but us. */
        if (!r->listener && listen_again(r, &why)) {
            xf_clear(&why);
            if (!wait_tick(w, &why)) {
                pause_a_while();
                continue;
            }
        } else if (!xf_link_accept(link, &r->cfg, r->listener, true, -1, wait_tick, w, &why)) {
            rc = (w->ended ? xf_pager_attach_ended : xf_pager_attach)(w->p, link, wait_tick, w,
                                                                      &why);
        }
        if (!rc) {
            xf_link_watch(link, r->tick, r->priv);
            if (!w->ended)
                listen_again(r, NULL); /* at once, for the port; or later, when it is needed */
            return;
        }
        xf_link_close(link);
        if (w->end != XF_PULL_LOST) {
            if (err && w->end != XF_PULL_DONE)
                *err = why;
            return;
        }
        pause_a_while(); /* whatever failed may fail again at once */
        listen_again(r, NULL);
    }
}

/* XF_PULL_LOST: attached. Else the end. */
static enum xf_pull_end accept_again(struct xf_rejoin *r, struct xf_pager *p, struct xf_link *link,
                                     int done_ms, struct xf_err *err)
{
    struct waiting w = {.r = r, .p = p, .end = XF_PULL_LOST, .done_ms = done_ms};

    await_source(&w, link, err);
    if (w.end == XF_PULL_LOST)
        tell(r, NULL);
    return w.end;
}

/* The guest has ended, and the source does not know: without this word it would keep the pages,
 * and try to bring them. */
static void wait_to_tell(struct xf_rejoin *r, struct xf_pager *p, struct xf_link *link, int done_ms)
{
    struct waiting w = {
        .r = r, .p = p, .ended = true, .end = XF_PULL_LOST, .until = xf_now() + done_ms / 1000.0};

    xf_link_close(link);
    listen_again(r, NULL); /* part of a link may have come to this one */
    await_source(&w, link, NULL);
}

/* Whatever took the link may be on this side, and take the next one as soon as it is there. */
static void rest(struct xf_rejoin *r, struct xf_pager *p, int ms)
{
    for (; ms > 0; ms -= AGAIN_MS) {
        pause_a_while();
        if (xf_pager_check(p, NULL) != XF_PULL_LOST || r->tick(r->priv, NULL))
            return; /* whoever waits next finds the same */
    }
}

enum xf_pull_end xf_rejoin_take(struct xf_rejoin *r, struct xf_pager *p, struct xf_link *link,
                                int done_ms, struct xf_err *err)
{
    enum xf_pull_end end;

    do {
        struct xf_err why = {0};

        end = xf_pager_run(p, r->tick, r->priv, &why);
        if (end != XF_PULL_LOST) {
            if (why.num && err)
                *err = why;
            break;
        }
        tell(r, &why);
        xf_link_close(link);
        rest(r, p, why.num == ENOMEM ? SHORT_MS : AGAIN_MS);
        end = accept_again(r, p, link, done_ms, err);
    } while (end == XF_PULL_LOST);
    if (end == XF_PULL_ENDED && !xf_pager_source_knows(p))
        wait_to_tell(r, p, link, done_ms);
    xf_link_close(link);
    if (r->listener)
        r->ops->unlisten(r->listener);
    r->listener = NULL;
    return end;
}
