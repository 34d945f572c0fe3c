/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PULL from beginning to end, over as many links as it takes: when one is lost, the source connects
 * again and the sink listens again, and they continue where they were.
 */
#ifndef XF_REJOIN_H
#define XF_REJOIN_H

#include "postcopy/gone.h"
#include "postcopy/outage.h"
#include "postcopy/pager.h"
#include "postcopy/server.h"
#include "transport/gather.h"

struct xf_rejoin {
    const struct xf_transport_ops *ops;
    struct xf_link_cfg cfg;   /* source: timeout_ms is XF_REJOIN_CONNECT_MS (transport/times.h) */
    struct xf_link_peer peer; /* source: where the sink listens */
    const char *addr;         /* sink: where to listen, as in the listen op */
    struct xf_gone gone;      /* source, xf_rejoin_serve(): when to give up, by limit_ms */
    int64_t gone_ms;          /* after XF_PULL_GONE: how long it has been gone */
    uint16_t port;            /* sink: where it listened before */
    struct xf_gather *gather; /* sink: listens for ops alone, or (nr 0) not yet */
    struct xf_outage outage;  /* source: outages of the links; for the caller to read */
    struct xf_tick tick;      /* as in xf_server_run() */
    /* A link was lost (why) or made again (NULL); may be NULL. */
    void (*link_changed)(void *priv, const struct xf_err *why);
    void *priv; /* of link_changed */
};

/*
 * Source. link: the one of GO, or one without channels (ops set) for a server that takes over (made
 * without `missing`). Never returns XF_PULL_LOST: it connects until tick ends it; or until, for one
 * of r->gone's times, every attempt has found that no process listens on the sink's host, or a
 * foreign one. That is XF_PULL_GONE, with the error of the last attempt: a sink listens as long as
 * its guest lives, and for a while after its end, so it must have died. The link is closed at the
 * end.
 */
enum xf_pull_end xf_rejoin_serve(struct xf_rejoin *r, struct xf_server *s, struct xf_link *link,
                                 struct xf_err *err);

/*
 * Source, in another process than that of GO: make the first link of a server made without
 * `missing`, for xf_rejoin_serve() to continue with. A sink may need some time to notice that its
 * source is gone, so this tries for wait_ms; only for refused_ms while connections are refused. -1:
 * no link (closed), with the error of the last attempt, or tick's.
 */
int xf_rejoin_take_over(struct xf_rejoin *r, struct xf_server *s, struct xf_link *link, int wait_ms,
                        int refused_ms, struct xf_err *err);

/*
 * Sink. link: the one of GO, on which the pager was started. XF_PULL_DONE also when all pages are
 * here and the source does not reconnect within done_ms to learn of it. XF_PULL_ENDED when the
 * source knows of the guest's end, or does not reconnect within done_ms either. Never returns
 * XF_PULL_LOST. At the end the link is closed, and the sink no longer listens.
 *
 * A source that connects while a link is in use or being attached has given that link up: it may
 * have noticed a loss that does not show here.
 */
enum xf_pull_end xf_rejoin_take(struct xf_rejoin *r, struct xf_pager *p, struct xf_link *link,
                                int done_ms, struct xf_err *err);

#endif
