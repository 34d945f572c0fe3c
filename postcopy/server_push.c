/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pushers of the page server: when pushing begins, and the threads that push. */
#include "postcopy/server_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "postcopy/window.h"
#include "transport/clock.h"

#define TICK_MS 50
/* In the guest's first moments it requests one page after another, and nothing else matters:
 * these requests have the link and the sink's processor to themselves. Pushing waits for as long
 * as CALM_PAGES pages would take, or 1/CALM_PART of the pages to be pushed if that is less, and
 * CALM_MAX_S at most. */
#define CALM_PAGES 512u
#define CALM_PART 64
#define CALM_MAX_S 1.0
/* Least data pages for a push to be compressed: a push with fewer has zero pages among them. */
#define PACK_MIN XF_PUSH_MIN

_Static_assert(XF_PUSH_MAX <= XF_STILL_MAX, "more than is read");

/* Receive the confirmations of batches; wait for one if `must`. */
static int hear_taken(struct pusher *p, struct xf_window *w, struct scratch *x, bool must,
                      struct xf_err *err)
{
    const struct xf_transport_ops *t = p->s->link->ops;
    uint64_t pages;

    do {
        struct xf_msg m;
        int rc = t->recv(p->chan, &m, x->meta, must ? -1 : 0, err);

        if (rc == XF_AGAIN)
            return 0;
        if (rc)
            return -1;
        if (m.type != XF_MSG_TAKEN || xf_u64s_decode(&pages, 1, &m, x->meta, err))
            return xf_fail(err, EPROTO, "the destination answered a push with message %u", m.type);
        if (!xf_window_taken(w, xf_now()))
            return xf_fail(err, EPROTO, "the destination took more than it was sent");
        must = false;
    } while (w->nr);
    return 0;
}

static bool has_room(struct pusher *p, const struct xf_window *w, uint64_t bytes)
{
    const struct xf_transport_ops *t = p->s->link->ops;

    return xf_window_room(w, bytes, XF_WINDOW_UNKNOWN) ||
           (t->in_network && xf_window_room(w, bytes, t->in_network(p->chan)));
}

/* On a slow path a push waits here, at the source, and not ahead of an answer. */
static void hold_back(struct pusher *p, const struct xf_window *w)
{
    const struct xf_transport_ops *t = p->s->link->ops;
    size_t slack = xf_window_slack(w);

    if (slack && t->hold)
        t->hold(p->chan, w->rate, slack);
}

/* The next pages into x->gfns; 0: stop. Waits while there is nothing to push. */
static unsigned next_push(struct pusher *p, const struct xf_window *w, struct scratch *x)
{
    struct xf_server *s = p->s;
    unsigned max = xf_window_push(w), n = 0;

    xf_lock(&s->lock, server_lock);
    while (!s->stop) {
        n = s->go ? xf_prefetch_next(&s->order, x->gfns, max) : 0;
        if (n)
            break;
        pthread_cond_wait(&s->push, &s->lock);
    }
    xf_unlock(&s->lock, server_lock);
    return n;
}

static void *push_main(void *arg)
{
    struct pusher *p = arg;
    struct xf_server *s = p->s;
    struct xf_window w;
    struct xf_err err = {0};
    struct xf_view *view = NULL;
    struct scratch *x = calloc(1, sizeof(*x));
    unsigned n;

    xf_window_init(&w);
    if (!x) {
        xf_fail(&err, ENOMEM, "out of memory for a pushing thread");
        goto out;
    }
    if (xf_packing_init(&x->packing, &s->packing, &err) ||
        s->vm->ops->view_open(s->vm, &view, &err))
        goto out;
    x->packing.least = PACK_MIN;
    while ((n = next_push(p, &w, x)) > 0) {
        uint64_t bytes = (uint64_t)n * XF_PAGE_SIZE;
        double began = xf_now(), waited;

        while (!has_room(p, &w, bytes))
            if (hear_taken(p, &w, x, true, &err))
                goto out;
        /* A push waits for the link here, and not within the transport. */
        waited = xf_now() - began;
        xf_window_sent(&w, bytes, xf_now());
        hold_back(p, &w);
        if (xf_server_send_pages(s, p->chan, XF_MSG_BATCH, view, x, n, &err) ||
            hear_taken(p, &w, x, false, &err))
            goto out;
        xf_packing_sent(&x->packing, began, waited);
        xf_lock(&s->lock, server_lock);
        s->status.pushed += n;
        if (x->packing.sent_as)
            s->status.packed += x->pages.batch.data_pages;
        xf_unlock(&s->lock, server_lock);
    }
out:
    if (err.num)
        xf_server_failed(s, &err);
    if (view)
        s->vm->ops->view_close(view);
    if (x)
        xf_packing_free(&x->packing);
    free(x);
    return NULL;
}

/* --- the caller's thread --- */

static double quiet_s(struct xf_server *s)
{
    uint64_t pages;
    double calm;

    xf_lock(&s->lock, server_lock);
    pages = s->order.nr_left / CALM_PART;
    xf_unlock(&s->lock, server_lock);
    pages = pages > CALM_PAGES ? CALM_PAGES : pages;
    calm = s->page_rate > 0 ? (double)pages / s->page_rate : 0;
    calm = calm > CALM_MAX_S ? CALM_MAX_S : calm;
    return s->quiet_ms / 1000.0 > calm ? s->quiet_ms / 1000.0 : calm;
}

int xf_server_let_push(struct xf_server *s)
{
    double now = xf_now();

    if (s->push_from == 0)
        s->push_from = now + quiet_s(s);
    if (s->pushing)
        return TICK_MS;
    if (now < s->push_from)
        return s->push_from - now < TICK_MS / 1000.0 ? (int)((s->push_from - now) * 1000) + 1
                                                     : TICK_MS;
    s->pushing = true;
    xf_lock(&s->lock, server_lock);
    s->go = true;
    pthread_cond_broadcast(&s->push);
    xf_unlock(&s->lock, server_lock);
    return TICK_MS;
}

int xf_server_start_pushing(struct xf_server *s, struct xf_err *err)
{
    assert(!s->nr && s->link->nr_bulk <= XF_CHANNELS_MAX);
    xf_packing_rule_init(&s->packing, &s->compress, s->link->nr_bulk);
    for (unsigned i = 0; i < s->link->nr_bulk; i++) {
        struct pusher *p = &s->pushers[s->nr++];
        int rc;

        *p = (struct pusher){.s = s, .chan = s->link->bulk[i]};
        rc = pthread_create(&p->thread, NULL, push_main, p);
        if (rc)
            return xf_fail(err, rc, "cannot start a pushing thread: %s", strerror(rc));
        p->started = true;
    }
    xf_server_let_push(s);
    return 0;
}
