/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A transport with nobody behind it: see puppet.h. */
#include "tests/fuzz/puppet.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "tests/fuzz/must.h"
#include "transport/clock.h"
#include "transport/wire.h"

#define SLICE_MS 1 /* nobody waits longer for nothing, whatever it asks for */

/* With the lock: whoever waits looks again. */
static void tell(struct puppet *p)
{
    uint64_t one = 1;

    for (unsigned i = 0; i < PUPPET_CHANNELS; i++)
        if (p->chans[i].wake >= 0)
            MUST(write(p->chans[i].wake, &one, sizeof(one)) == sizeof(one));
    pthread_cond_broadcast(&p->changed);
}

bool puppet_at_rest(const struct puppet *p)
{
    for (unsigned i = 0; i < PUPPET_CHANNELS; i++)
        if (p->chans[i].busy)
            return false;
    return true;
}

/* With the lock. 0, or as the recv op. */
static int next(struct xf_chan *c, struct xf_msg *m, uint8_t *meta, struct xf_err *err)
{
    struct puppet *p = c->p;

    if (c->aborted)
        return xf_fail_link(err, ECANCELED, "channel %u: given up on this side", c->index);
    if (p->one_by_one && !puppet_at_rest(p))
        return XF_AGAIN;
    switch (p->ops->next(p, c->index, m, meta)) {
    case PUPPET_MESSAGE:
        MUST(m->meta_len <= XF_META_MAX && m->payload_len <= XF_PAYLOAD_MAX);
        c->busy = true;
        c->payload_left = m->payload_len;
        c->payload_at = 0;
        tell(p);
        return 0;
    case PUPPET_NOTHING:
        return XF_AGAIN;
    case PUPPET_END:
        break;
    }
    return xf_fail_link(err, ECONNRESET, "channel %u: the peer closed the connection", c->index);
}

static int puppet_recv(struct xf_chan *c, struct xf_msg *m, void *meta, int timeout_ms,
                       struct xf_err *err)
{
    struct puppet *p = c->p;
    struct timespec until = xf_time_in(SLICE_MS);
    uint64_t n;
    int rc;

    if (c->payload_left)
        return xf_fail(err, EINVAL, "%u bytes of payload were not received", c->payload_left);
    pthread_mutex_lock(&p->lock);
    if (c->busy) {
        c->busy = false;
        tell(p);
    }
    while ((rc = next(c, m, meta, err)) == XF_AGAIN && timeout_ms) {
        if (pthread_cond_timedwait(&p->changed, &p->lock, &until) != ETIMEDOUT)
            continue;
        if (c->index == 0 && puppet_at_rest(p)) {
            if (p->ops->idle)
                p->ops->idle(p);
            tell(p);
        }
        if (timeout_ms > 0)
            break;
        until = xf_time_in(SLICE_MS);
    }
    if (rc == XF_AGAIN && c->wake >= 0 && read(c->wake, &n, sizeof(n)) < 0)
        MUST(errno == EAGAIN);
    pthread_mutex_unlock(&p->lock);
    return rc;
}

static uint8_t payload(struct puppet *p, unsigned chan, uint32_t i)
{
    return p->ops->payload ? p->ops->payload(p, chan, i) : (uint8_t)i;
}

static int puppet_recv_payload(struct xf_chan *c, const struct iovec *iov, int niov,
                               struct xf_err *err)
{
    struct puppet *p = c->p;

    for (int i = 0; i < niov; i++) {
        uint8_t *to = iov[i].iov_base;

        if (iov[i].iov_len > c->payload_left)
            return xf_fail(err, EINVAL, "%zu bytes wanted of %u", iov[i].iov_len, c->payload_left);
        pthread_mutex_lock(&p->lock);
        for (size_t k = 0; k < iov[i].iov_len; k++)
            to[k] = payload(p, c->index, c->payload_at++);
        pthread_mutex_unlock(&p->lock);
        c->payload_left -= (uint32_t)iov[i].iov_len;
    }
    return 0;
}

static int puppet_send(struct xf_chan *c, const struct xf_msg *m, const void *meta,
                       const struct iovec *iov, int niov, struct xf_err *err)
{
    struct puppet *p = c->p;
    uint64_t sum = 0;
    int rc = 0;

    for (int i = 0; i < niov; i++)
        sum += iov[i].iov_len;
    MUST(sum == m->payload_len && m->payload_len <= XF_PAYLOAD_MAX && m->meta_len <= XF_META_MAX);
    pthread_mutex_lock(&p->lock);
    if (c->aborted) {
        rc = xf_fail_link(err, ECANCELED, "channel %u: given up on this side", c->index);
    } else {
        p->ops->sent(p, c->index, m, meta);
        /* On these an answer ends the work, and the thread may end with it. */
        c->busy = c->busy && (c->index == 0 || c->index == PUPPET_URGENT(p->bulk));
        tell(p);
    }
    pthread_mutex_unlock(&p->lock);
    return rc;
}

static int puppet_pollfd(struct xf_chan *c, bool *ready)
{
    *ready = false;
    return c->wake;
}

static void puppet_abort(struct xf_chan *c)
{
    pthread_mutex_lock(&c->p->lock);
    c->aborted = true;
    tell(c->p);
    pthread_mutex_unlock(&c->p->lock);
}

static void puppet_stats(const struct xf_chan *c, struct xf_chan_stats *out)
{
    (void)c;
    *out = (struct xf_chan_stats){0};
}

static void puppet_close(struct xf_chan *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->p->lock);
    if (c->wake >= 0)
        close(c->wake);
    c->wake = -1;
    c->busy = false;
    c->aborted = true;
    pthread_mutex_unlock(&c->p->lock);
}

static const struct xf_transport_ops puppet_transport = {
    .name = "puppet",
    .send = puppet_send,
    .recv = puppet_recv,
    .recv_payload = puppet_recv_payload,
    .pollfd = puppet_pollfd,
    .abort = puppet_abort,
    .stats = puppet_stats,
    .close = puppet_close,
};

void puppet_init(struct puppet *p, const struct puppet_ops *ops, void *priv)
{
    pthread_condattr_t attr;

    memset(p, 0, sizeof(*p));
    p->ops = ops;
    p->priv = priv;
    for (unsigned i = 0; i < PUPPET_CHANNELS; i++)
        p->chans[i].wake = -1;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->changed, &attr);
    pthread_condattr_destroy(&attr);
}

void puppet_connect(struct puppet *p, struct xf_link *l, unsigned bulk)
{
    MUST(bulk >= 1 && bulk <= PUPPET_BULK_MAX);
    p->bulk = bulk;
    for (unsigned i = 0; i < PUPPET_CHANNELS; i++)
        p->chans[i] = (struct xf_chan){.p = p, .index = i, .wake = -1};
    p->chans[PUPPET_URGENT(bulk)].wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    MUST(p->chans[PUPPET_URGENT(bulk)].wake >= 0);
    *l = (struct xf_link){.ops = &puppet_transport, .nr_bulk = bulk};
    l->control = &p->chans[0];
    for (unsigned i = 0; i < bulk; i++)
        l->bulk[i] = &p->chans[1 + i];
    l->urgent = &p->chans[PUPPET_URGENT(bulk)];
}
