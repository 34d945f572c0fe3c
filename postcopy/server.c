/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The page server: see server.h. */
#include "postcopy/server.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "postcopy/prefetch.h"
#include "postcopy/still.h"
#include "postcopy/urgent.h"
#include "postcopy/window.h"
#include "pages/cost.h"
#include "pages/extents.h"
#include "pages/packing.h"
#include "transport/clock.h"
#include "transport/lock.h"
#include "transport/times.h"

#define TICK_MS 50
#define BYE_MS 2000
/* In the guest's first moments it requests one page after another, and nothing else matters:
 * these requests have the link and the sink's processor to themselves. Pushing waits for as long
 * as CALM_PAGES pages would take, or 1/CALM_PART of the pages to be pushed if that is less, and
 * CALM_MAX_S at most. */
#define CALM_PAGES 512u
#define CALM_PART 64
#define CALM_MAX_S 1.0
/* Least data pages for a push to be compressed: a push with fewer has zero pages among them. */
#define PACK_MIN XF_PUSH_MIN

_Static_assert(XF_PUSH_MAX <= XF_STILL_MAX && XF_REQUEST_MAX <= XF_STILL_MAX, "more than is read");

struct pusher {
    struct xf_server *s;
    struct xf_chan *chan;
    pthread_t thread;
    bool started;
};

XF_LOCK_ROLE(server_lock);

struct xf_server {
    struct xf_source_vm *vm;
    struct xf_link *link; /* NULL: none */
    int silence_ms, quiet_ms;
    double page_rate;
    double push_from;      /* when pushing may begin, 0 before PULL; for the caller's thread */
    struct xf_view *watch; /* for xf_server_check(); NULL: not opened yet; likewise */
    bool pushing;          /* pushing has begun over this link; likewise */
    struct xf_compress_opts compress; /* constant */
    struct xf_packing_rule packing;   /* the pushers' */
    pthread_mutex_t lock;
    pthread_cond_t push;      /* to the pushers: go, more, or stop */
    struct xf_cost map, copy; /* any thread */
    struct xf_prefetch order XF_GUARDED(server_lock);
    /* Pages that may be requested: all that were missing. */
    unsigned long *owed XF_GUARDED(server_lock);
    struct xf_server_status status XF_GUARDED(server_lock);
    bool go XF_GUARDED(server_lock), stop XF_GUARDED(server_lock);
    struct xf_err err XF_GUARDED(server_lock); /* first failure of a thread */

    pthread_t answerer;
    bool answering; /* started; belongs to the caller's thread */
    unsigned nr;
    struct pusher pushers[XF_CHANNELS_MAX];
};

/* A thread's buffers for one batch; too big for a stack. */
struct scratch {
    struct xf_still pages;
    struct xf_request request;
    uint64_t gfns[XF_BATCH_PAGES];
    struct xf_packing packing; /* never compresses in the answering thread */
    uint8_t meta[XF_META_MAX];
};

static void failed(struct xf_server *s, const struct xf_err *err)
{
    xf_lock(&s->lock, server_lock);
    if (!s->err.num)
        s->err = *err;
    s->stop = true;
    pthread_cond_broadcast(&s->push);
    xf_unlock(&s->lock, server_lock);
}

static void set_hopeless(struct xf_server *s)
{
    xf_lock(&s->lock, server_lock);
    s->status.hopeless = true;
    xf_unlock(&s->lock, server_lock);
}

static int lost_for_good(struct xf_server *s, struct xf_err *err)
{
    set_hopeless(s);
    return xf_wrap(err, "the pages that the guest lacks at the destination are lost (destroy it "
                        "there, too, and boot it anew)");
}

static int was_resumed(struct xf_server *s, struct xf_err *err)
{
    bool lacking;

    xf_lock(&s->lock, server_lock);
    s->status.resumed = true;
    lacking = s->status.pulled.missing > 0;
    s->status.hopeless |= lacking;
    xf_unlock(&s->lock, server_lock);
    return xf_wrap(err, lacking ? "the guest runs at the destination and somebody let it run here, "
                                  "too, so the pages it lacks there can no longer be sent"
                                : "the guest runs at the destination with all its pages, and "
                                  "somebody let it run here, too");
}

int xf_server_check(struct xf_server *s, struct xf_err *err)
{
    struct xf_err why = {0};

    if (!s->watch && s->vm->ops->view_open(s->vm, &s->watch, err))
        return -1;
    /* A guest that is gone shows when one of its pages is needed, and matters only then. */
    if (!s->vm->ops->untouched(s->vm, s->watch, &why) || why.num == ESRCH)
        return 0;
    if (err)
        *err = why;
    return why.num == EBUSY ? was_resumed(s, err) : -1;
}

static int read_pages(struct xf_server *s, struct xf_view *view, struct scratch *x, unsigned n,
                      struct xf_err *err)
{
    if (!xf_still_read(s->vm, view, x->gfns, n, &x->pages, &s->map, &s->copy, err))
        return 0;
    return err->num == EBUSY ? was_resumed(s, err) : err->num == ESRCH ? lost_for_good(s, err) : -1;
}

/* Send n ascending gfns as one batch. */
static int send_pages(struct xf_server *s, struct xf_chan *chan, uint16_t type,
                      struct xf_view *view, struct scratch *x, unsigned n, struct xf_err *err)
{
    struct xf_msg m = {.type = type};
    uint64_t began;
    int niov, rc;

    if (read_pages(s, view, x, n, err))
        return -1;
    began = xf_now_ns();
    niov = x->pages.batch.data_pages > 0;
    if (type == XF_MSG_BATCH) {
        rc = xf_packing_send(&x->packing, s->link->ops, chan, &x->pages.batch, &x->pages.iov, niov,
                             true, x->meta, err);
    } else {
        m.meta_len = (uint32_t)xf_batch_encode(&x->pages.batch, x->meta);
        m.payload_len = x->pages.batch.data_pages * XF_PAGE_SIZE;
        rc = s->link->ops->send(chan, &m, x->meta, &x->pages.iov, niov, err);
    }
    xf_cost_add(&s->copy, n, began);
    return rc;
}

/* --- answers --- */

static int by_gfn(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* The requested pages, ascending and each once, into x->gfns; the push order is updated. */
static int take_request(struct xf_server *s, struct scratch *x, unsigned *n, struct xf_err *err)
{
    struct xf_request *r = &x->request;
    int rc = 0;

    xf_lock(&s->lock, server_lock);
    for (uint32_t i = 0; i < r->nr && !rc; i++) {
        if (!xf_bit(s->owed, r->gfns[i]))
            rc = xf_fail(err, EPROTO, "the destination asked for gfn 0x%llx, which it had at GO",
                         (unsigned long long)r->gfns[i]);
        else
            xf_prefetch_fault(&s->order, r->gfns[i]);
    }
    xf_unlock(&s->lock, server_lock);
    if (rc)
        return rc;
    memcpy(x->gfns, r->gfns, r->nr * sizeof(r->gfns[0]));
    qsort(x->gfns, r->nr, sizeof(x->gfns[0]), by_gfn);
    *n = 0;
    for (uint32_t i = 0; i < r->nr; i++)
        if (!i || x->gfns[i] != x->gfns[*n - 1])
            x->gfns[(*n)++] = x->gfns[i];
    return 0;
}

static void *answer_main(void *arg)
{
    struct xf_server *s = arg;
    struct xf_err err = {0};
    struct xf_view *view = NULL;
    struct scratch *x = calloc(1, sizeof(*x));

    xf_urgent_thread();
    if (!x) {
        xf_fail(&err, ENOMEM, "out of memory for the answering thread");
        goto out;
    }
    if (s->vm->ops->view_open(s->vm, &view, &err))
        goto out;
    for (;;) {
        struct xf_msg m;
        unsigned n;

        if (s->link->ops->recv(s->link->urgent, &m, x->meta, -1, &err))
            break;
        if (m.type != XF_MSG_REQUEST) {
            xf_fail(&err, EPROTO, "the destination sent message %u on the urgent channel", m.type);
            break;
        }
        if (xf_request_decode(&x->request, &m, x->meta, s->vm->nr_gfns, &err) ||
            take_request(s, x, &n, &err) ||
            send_pages(s, s->link->urgent, XF_MSG_ANSWER, view, x, n, &err))
            break;
        xf_lock(&s->lock, server_lock);
        s->status.answered += n;
        pthread_cond_broadcast(&s->push); /* an idle pusher may be watching for the end */
        xf_unlock(&s->lock, server_lock);
    }
out:
    failed(s, &err);
    if (view)
        s->vm->ops->view_close(view);
    free(x);
    return NULL;
}

/* --- pushing --- */

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
        if (send_pages(s, p->chan, XF_MSG_BATCH, view, x, n, &err) ||
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
        failed(s, &err);
    if (view)
        s->vm->ops->view_close(view);
    if (x)
        xf_packing_free(&x->packing);
    free(x);
    return NULL;
}

/* --- life cycle --- */

XF_ALONE
int xf_server_new(struct xf_server **out, struct xf_source_vm *vm, const unsigned long *missing,
                  const struct xf_server_opts *opts, struct xf_err *err)
{
    struct xf_server *s = calloc(1, sizeof(*s));
    size_t len = xf_bitmap_words(vm->nr_gfns) * sizeof(*missing);

    if (!s)
        return xf_fail(err, ENOMEM, "out of memory");
    s->vm = vm;
    s->status.pulled.missing = UINT64_MAX;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->push, NULL);
    s->owed = xf_bitmap_new(vm->nr_gfns);
    if (!s->owed || xf_prefetch_init(&s->order, vm->nr_gfns)) {
        xf_server_free(s);
        return xf_fail(err, ENOMEM, "out of memory for the set of missing pages");
    }
    s->silence_ms = opts ? opts->silence_ms : 0;
    s->quiet_ms = opts ? opts->quiet_ms : 0;
    s->page_rate = opts ? opts->page_rate : 0;
    s->order.linear = opts && opts->linear;
    if (opts)
        s->compress = opts->compress;
    if (missing) {
        memcpy(s->owed, missing, len);
        memcpy(s->order.left, missing, len);
        s->order.nr_left = xf_bitmap_count(missing, vm->nr_gfns);
    }
    *out = s;
    return 0;
}

XF_ALONE
int xf_server_start(struct xf_server *s, struct xf_link *link, struct xf_err *err)
{
    int rc;

    assert(!s->link && !s->answering && !s->nr);
    s->link = link;
    s->go = s->stop = s->pushing = false;
    xf_clear(&s->err);
    rc = pthread_create(&s->answerer, NULL, answer_main, s);
    if (rc)
        return xf_fail(err, rc, "cannot start the answering thread: %s", strerror(rc));
    s->answering = true;
    return 0;
}

/* Join all threads. The link is dead afterwards. */
static void stop(struct xf_server *s)
{
    if (!s->link)
        return;
    xf_lock(&s->lock, server_lock);
    s->stop = true;
    pthread_cond_broadcast(&s->push);
    xf_unlock(&s->lock, server_lock);
    xf_link_abort(s->link);
    if (s->answering)
        pthread_join(s->answerer, NULL);
    s->answering = false;
    for (unsigned i = 0; i < s->nr; i++)
        if (s->pushers[i].started)
            pthread_join(s->pushers[i].thread, NULL);
    s->nr = 0;
    s->link = NULL;
}

XF_ALONE
void xf_server_free(struct xf_server *s)
{
    if (!s)
        return;
    stop(s);
    if (s->watch)
        s->vm->ops->view_close(s->watch);
    xf_prefetch_free(&s->order);
    free(s->owed);
    pthread_cond_destroy(&s->push);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static void set_heard(struct xf_server *s, double when)
{
    xf_lock(&s->lock, server_lock);
    s->status.heard = when;
    xf_unlock(&s->lock, server_lock);
}

static void set_ended(struct xf_server *s)
{
    xf_lock(&s->lock, server_lock);
    s->status.ended = true;
    xf_unlock(&s->lock, server_lock);
}

static bool has_ended(struct xf_server *s)
{
    bool ended;

    xf_lock(&s->lock, server_lock);
    ended = s->status.ended;
    xf_unlock(&s->lock, server_lock);
    return ended;
}

/* Receive the set of pages that the sink lacks, which become owed and left; or the guest has
 * ended. */
XF_ALONE
static int learn_missing(struct xf_server *s, struct xf_link *link, struct xf_tick tick,
                         struct xf_extents *x, struct xf_err *err)
{
    size_t len = xf_bitmap_words(s->vm->nr_gfns) * sizeof(*s->owed);
    struct xf_extents_in in = xf_extents_expect(XF_ATTACH_MS, s->vm->nr_gfns);
    double until = xf_now() + XF_ATTACH_MS / 1000.0; /* for the first message */
    uint8_t meta[XF_META_MAX];
    struct xf_msg m = {0};
    int rc;

    memset(s->order.left, 0, len);
    do {
        rc = xf_link_hear(link, XF_MSG_MISSING, &m, meta, TICK_MS, err);
        if (rc >= 0 && xf_tick(tick, err))
            return -1;
        if (rc == XF_AGAIN) {
            if (!in.next && xf_now() > until)
                return xf_fail_peer(err, ETIMEDOUT,
                                    "the destination did not report the pages it lacks");
            if (xf_extents_take(&in, NULL, err))
                return -1;
            continue;
        }
        if (rc < 0 && m.type == XF_MSG_ENDED && !m.payload_len) {
            if (err)
                xf_clear(err);
            set_ended(s);
            return 0;
        }
        if (rc || xf_extents_decode(x, &m, meta, s->vm->nr_gfns, err) ||
            xf_extents_take(&in, x, err))
            return -1;
        xf_set_extents(s->order.left, x);
        if (x->flags & XF_EXTENTS_LAST)
            break;
    } while (true);
    memcpy(s->owed, s->order.left, len);
    s->order.nr_left = xf_bitmap_count(s->owed, s->vm->nr_gfns);
    return 0;
}

int xf_server_attach(struct xf_server *s, struct xf_link *link, struct xf_tick tick,
                     struct xf_err *err)
{
    struct xf_extents *x = malloc(sizeof(*x));
    int rc;

    if (!x)
        return xf_fail(err, ENOMEM, "out of memory for a set of missing pages");
    rc = xf_link_say(link, XF_MSG_ATTACH, NULL, 0, err) ? -1 : learn_missing(s, link, tick, x, err);
    free(x);
    if (!rc && has_ended(s)) { /* there will be no requests */
        s->link = link;
        return 0;
    }
    return rc ? rc : xf_server_start(s, link, err);
}

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

/* Begin pushing once it is time. Returns how long the thread may sleep, ms. */
static int let_push(struct xf_server *s)
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

static int start_pushing(struct xf_server *s, struct xf_err *err)
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
    let_push(s);
    return 0;
}

/* Wait until the sink has closed the link. If our message is lost, it merely keeps its side open
 * for a while. */
static void hear_end(struct xf_server *s, uint8_t *meta)
{
    double until = xf_now() + BYE_MS / 1000.0;
    struct xf_msg m;

    while (xf_now() < until)
        if (s->link->ops->recv(s->link->control, &m, meta, TICK_MS, NULL) < 0)
            return;
}

/* The sink has everything, or needs nothing any more: tell it that we know. */
static void say_bye(struct xf_server *s, uint8_t *meta)
{
    if (!xf_link_say(s->link, XF_MSG_BYE, NULL, 0, NULL))
        hear_end(s, meta);
}

/* The sink cannot continue. */
static enum xf_pull_end take_error(struct xf_server *s, const struct xf_msg *m, const uint8_t *meta,
                                   struct xf_err *err)
{
    char text[XF_TEXT_MAX];
    int num;

    if (xf_text_decode(&num, text, m, meta, err))
        return XF_PULL_FAILED;
    xf_fail_peer(err, num ? num : EIO, "destination: %s", text);
    if (num == ENOMEM) /* it keeps listening; the operator has to be told */
        return XF_PULL_LOST;
    set_hopeless(s); /* it has paused the guest, and is ending */
    return XF_PULL_FAILED;
}

/* The sink's progress. */
static enum xf_pull_end take_pulled(struct xf_server *s, const struct xf_msg *m, uint8_t *meta,
                                    struct xf_err *err)
{
    struct xf_pulled pulled;

    if (xf_pulled_decode(&pulled, m, meta, err))
        return XF_PULL_FAILED;
    xf_lock(&s->lock, server_lock);
    s->status.pulled = pulled;
    xf_unlock(&s->lock, server_lock);
    if (pulled.missing)
        return XF_PULL_GOES_ON;
    if (xf_server_check(s, err)) /* for the end: the guest must not have run here */
        return XF_PULL_FAILED;
    say_bye(s, meta);
    return XF_PULL_DONE;
}

/* One message of the sink. If it is invalid now, it would be so over another link, too. */
static enum xf_pull_end take_word(struct xf_server *s, const struct xf_msg *m, uint8_t *meta,
                                  struct xf_err *err)
{
    if (m->type == XF_MSG_ENDED && !m->payload_len) {
        set_ended(s);
        say_bye(s, meta);
        return XF_PULL_ENDED;
    }
    if (m->type == XF_MSG_ERROR)
        return take_error(s, m, meta, err);
    if (m->type == XF_MSG_PULLED)
        return take_pulled(s, m, meta, err);
    xf_fail(err, EPROTO, "the destination sent message %u during PULL", m->type);
    return XF_PULL_FAILED;
}

/* Has a thread failed? */
static enum xf_pull_end check_threads(struct xf_server *s, struct xf_err *err)
{
    enum xf_pull_end end = XF_PULL_GOES_ON;

    xf_lock(&s->lock, server_lock);
    if (s->err.num) {
        if (err)
            *err = s->err;
        end = s->err.whose == XF_OURS ? XF_PULL_FAILED : XF_PULL_LOST;
    }
    xf_unlock(&s->lock, server_lock);
    return end;
}

/* Run until the end or a failure, which err describes. */
static enum xf_pull_end listen_to_sink(struct xf_server *s, struct xf_tick tick, struct xf_err *err)
{
    double heard = xf_now(), pinged = 0;
    enum xf_pull_end end = XF_PULL_GOES_ON;
    uint8_t meta[XF_META_MAX];
    struct xf_msg m;

    set_heard(s, heard);
    while (end == XF_PULL_GOES_ON) {
        double now = xf_now();
        int rc, sleep_ms = let_push(s);

        if (now - pinged > XF_PING_MS / 1000.0) { /* so that a waiting sink knows we are alive */
            if (xf_link_say(s->link, XF_MSG_PING, NULL, 0, err))
                return XF_PULL_LOST;
            pinged = now;
        }
        rc = s->link->ops->recv(s->link->control, &m, meta, sleep_ms, err);
        if (rc < 0)
            return XF_PULL_LOST;
        if (!rc) {
            heard = now;
            set_heard(s, now);
            end = take_word(s, &m, meta, err);
            if (end != XF_PULL_GOES_ON)
                return end;
        }
        if (s->silence_ms > 0 && now - heard > s->silence_ms / 1000.0) {
            xf_fail_link(err, ETIMEDOUT, "the destination has sent nothing for %d ms",
                         s->silence_ms);
            return XF_PULL_LOST;
        }
        if (xf_server_check(s, err) || xf_tick(tick, err))
            return XF_PULL_FAILED;
        end = check_threads(s, err);
    }
    return end;
}

/* If the guest was resumed: the sink must not wait for pages that cannot be sent any more. */
static void say_resumed(struct xf_server *s, uint8_t *meta)
{
    static const char why[] = "somebody let the guest run at its source, too";
    bool resumed;

    xf_lock(&s->lock, server_lock);
    resumed = s->status.resumed;
    xf_unlock(&s->lock, server_lock);
    if (resumed &&
        !xf_link_say(s->link, XF_MSG_ERROR, meta, xf_text_encode(EBUSY, why, meta), NULL))
        hear_end(s, meta);
}

enum xf_pull_end xf_server_run(struct xf_server *s, struct xf_tick tick, struct xf_err *err)
{
    enum xf_pull_end end = XF_PULL_FAILED;
    uint8_t meta[XF_META_MAX];

    if (has_ended(s)) { /* this was the answer to ATTACH */
        say_bye(s, meta);
        end = XF_PULL_ENDED;
    } else if (!start_pushing(s, err)) {
        end = listen_to_sink(s, tick, err);
        if (end == XF_PULL_FAILED)
            say_resumed(s, meta);
    }
    stop(s);
    return end;
}

void xf_server_status(struct xf_server *s, struct xf_server_status *out)
{
    xf_lock(&s->lock, server_lock);
    *out = s->status;
    out->left = s->order.nr_left;
    out->map = xf_cost_sum(&s->map);
    out->copy = xf_cost_sum(&s->copy);
    xf_unlock(&s->lock, server_lock);
}
