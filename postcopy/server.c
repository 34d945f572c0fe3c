/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page server's life, and PULL on the control channel: the caller's thread. See server.h; the
 * other threads are in server_answer.c and server_push.c.
 */
#include "postcopy/server_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pages/extents.h"
#include "transport/clock.h"
#include "transport/times.h"

#define TICK_MS 50
#define BYE_MS 2000

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
    rc = pthread_create(&s->answerer, NULL, xf_server_answer_main, s);
    if (rc)
        return xf_fail(err, rc, "cannot start the answering thread: %s", strerror(rc));
    s->answering = true;
    return 0;
}

XF_ALONE
void xf_server_hush(struct xf_server *s)
{
    if (!s || !s->answering)
        return;
    s->link->ops->abort(s->link->urgent);
    pthread_join(s->answerer, NULL);
    s->answering = false;
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

/* --- the control channel --- */

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
    xf_server_set_hopeless(s); /* it has paused the guest, and is ending */
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
    const uint64_t wants = XF_PING_LATENCY;
    uint8_t meta[XF_META_MAX], ping[8];
    struct xf_msg m;

    set_heard(s, heard);
    while (end == XF_PULL_GOES_ON) {
        double now = xf_now();
        int rc, sleep_ms = xf_server_let_push(s);

        if (now - pinged > XF_PING_MS / 1000.0) { /* so that a waiting sink knows we are alive */
            if (xf_link_say(s->link, XF_MSG_PING, ping, xf_u64s_encode(&wants, 1, ping), err))
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
    } else if (!xf_server_start_pushing(s, err)) {
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
