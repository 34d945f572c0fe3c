/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels of the RDMA transport: their life, messages on top of the byte stream, and the
 * table of ops. How bytes move is in stream.c and flow.c; how a channel comes to be, in
 * connect.c and listen.c.
 */
#include "transport/rdma/rdma.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LINGER_MS 2000 /* for the last messages of a channel that is closed in order */

int xf_rdma_check(const struct xf_link_cfg *cfg, struct xf_err *err)
{
    if (cfg->channels < 1 || cfg->channels > XF_CHANNELS_MAX)
        return xf_fail(err, EINVAL, "a move has 1 to %u bulk channels, not %u", XF_CHANNELS_MAX,
                       cfg->channels);
    if (cfg->timeout_ms <= 0)
        return xf_fail(err, EINVAL, "a connection needs some time, not %d ms", cfg->timeout_ms);
    if (cfg->rdma_buffer &&
        (cfg->rdma_buffer < XF_RDMA_BUFFER_MIN || cfg->rdma_buffer > XF_RDMA_BUFFER_MAX))
        return xf_fail(err, EINVAL, "an RDMA buffer has %u KiB to %u MiB, not %u bytes",
                       XF_RDMA_BUFFER_MIN >> 10, XF_RDMA_BUFFER_MAX >> 20, cfg->rdma_buffer);
    return 0;
}

struct xf_chan *xf_rdma_chan_new(const struct xf_link_cfg *cfg, struct rdma_cm_id *id, bool source,
                                 struct xf_err *err)
{
    struct xf_chan *c = calloc(1, sizeof(*c));

    if (!c) {
        rdma_destroy_id(id);
        xf_fail(err, ENOMEM, "no memory for a channel");
        return NULL;
    }
    c->id = id;
    c->source = source;
    snprintf(c->who, sizeof(c->who), "this side"); /* until a peer is known, all that fails is */
    c->epoll = -1;
    c->ahead_slot = -1;
    c->stall_ms = cfg->stall_ms;
    c->poll_us = cfg->rdma_poll_us;
    c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->wake < 0) {
        xf_fail(err, errno, "no descriptor for a channel: %s", strerror(errno));
        xf_rdma_chan_free(c);
        return NULL;
    }
    return c;
}

int xf_rdma_chan_open(struct xf_chan *c, struct xf_err *err)
{
    struct epoll_event ev = {.events = EPOLLIN};

    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (c->epoll < 0 || epoll_ctl(c->epoll, EPOLL_CTL_ADD, c->comp->fd, &ev) ||
        epoll_ctl(c->epoll, EPOLL_CTL_ADD, c->cm->fd, &ev))
        return xf_fail(err, errno, "%s: no descriptor to wait on: %s", c->who, strerror(errno));
    return 0;
}

void xf_rdma_chan_free(struct xf_chan *c)
{
    if (!c)
        return;
    xf_rdma_qp_close(c);
    xf_rdma_seal_close(&c->seal);
    xf_rdma_seal_close(&c->unseal);
    if (c->epoll >= 0)
        close(c->epoll);
    if (c->wake >= 0)
        close(c->wake);
    free(c->queue);
    free(c->open);
    free(c->win);
    free(c);
}

static bool all_done(const struct xf_chan *c)
{
    return c->done == c->posted;
}

/* Tell an orderly end from a cut line. The peer's device has everything when it has
 * acknowledged the good-bye; what is on its way when a queue pair is destroyed is lost. */
static void rdma_close(struct xf_chan *c)
{
    if (c && !atomic_load(&c->aborted) && !xf_rdma_ended(c) &&
        xf_rdma_post_note(c, XF_IMM_BYE, NULL) == 0)
        xf_rdma_wait(c, all_done, c->stall_ms && c->stall_ms < LINGER_MS ? c->stall_ms : LINGER_MS,
                     NULL);
    xf_rdma_chan_free(c);
}

static int rdma_send(struct xf_chan *c, const struct xf_msg *m, const void *meta,
                     const struct iovec *iov, int niov, struct xf_err *err)
{
    uint8_t frame[XF_FRAME_BYTES];
    struct iovec hv[2] = {{frame, sizeof(frame)}, {(void *)meta, m->meta_len}};
    struct xf_iter head = xf_iter(hv, 2, sizeof(frame) + (size_t)m->meta_len);
    struct xf_iter body;
    uint64_t sum;

    if (xf_iov_sum(iov, niov, &sum, err) || xf_frame_encode(frame, m, meta, err))
        return xf_wrap(err, "%s", c->who);
    if (sum != m->payload_len)
        return xf_fail(err, EINVAL, "%s: %llu bytes given for a payload of %u", c->who,
                       (unsigned long long)sum, m->payload_len);
    body = xf_iter(iov, niov, m->payload_len);
    return xf_rdma_stream_send(c, &head, &body, err);
}

static int rdma_recv(struct xf_chan *c, struct xf_msg *m, void *meta, int timeout_ms,
                     struct xf_err *err)
{
    uint8_t frame[XF_FRAME_BYTES];
    struct iovec v = {frame, sizeof(frame)};
    struct xf_iter it = xf_iter(&v, 1, sizeof(frame));
    int rc;

    if (c->payload_left)
        return xf_fail(err, EINVAL,
                       "%s: %u bytes of payload were not received before the next message", c->who,
                       c->payload_left);
    rc = xf_rdma_stream_fill(c, timeout_ms, err);
    if (rc)
        return rc;
    if (xf_rdma_stream_recv(c, &it, err))
        return -1;
    if (xf_frame_decode(m, frame, err))
        return xf_wrap(err, "%s", c->who);
    v = (struct iovec){meta, m->meta_len};
    it = xf_iter(&v, 1, m->meta_len);
    if (xf_rdma_stream_recv(c, &it, err))
        return -1;
    if (xf_frame_check(frame, m, meta, err))
        return xf_wrap(err, "%s", c->who);
    c->payload_left = m->payload_len;
    return 0;
}

static int rdma_recv_payload(struct xf_chan *c, const struct iovec *iov, int niov,
                             struct xf_err *err)
{
    struct xf_iter it;
    uint64_t sum;

    if (xf_iov_sum(iov, niov, &sum, err))
        return xf_wrap(err, "%s", c->who);
    if (sum > c->payload_left)
        return xf_fail(err, EINVAL, "%s: %llu bytes wanted of a payload that has %u left", c->who,
                       (unsigned long long)sum, c->payload_left);
    it = xf_iter(iov, niov, (size_t)sum);
    if (xf_rdma_stream_recv(c, &it, err))
        return -1;
    c->payload_left -= (uint32_t)sum;
    return 0;
}

static int rdma_pollfd(struct xf_chan *c, bool *ready)
{
    xf_rdma_take_events(c);
    xf_rdma_progress(c);
    if (!c->armed && xf_rdma_arm(c, &c->fault) == 0)
        xf_rdma_progress(c); /* what came before that raises no event */
    *ready = c->ahead_len || c->waiting || xf_rdma_ended(c);
    return c->epoll;
}

static void rdma_abort(struct xf_chan *c)
{
    uint64_t one = 1;

    atomic_store_explicit(&c->aborted, true, memory_order_release);
    /* never drained: every later wait ends at once, too */
    if (write(c->wake, &one, sizeof(one)) < 0)
        return; /* full, so it is readable already */
}

static void rdma_stats(const struct xf_chan *c, struct xf_chan_stats *out)
{
    out->tx_bytes = atomic_load_explicit(&c->tx_bytes, memory_order_relaxed);
    out->rx_bytes = atomic_load_explicit(&c->rx_bytes, memory_order_relaxed);
    out->work_requests = atomic_load_explicit(&c->work_requests, memory_order_relaxed);
    out->completions = atomic_load_explicit(&c->completions, memory_order_relaxed);
}

const struct xf_transport_ops xf_rdma_ops = {
    .name = "rdma",
    .listen = xf_rdma_listen,
    .accept = xf_rdma_accept,
    .abort_accept = xf_rdma_abort_accept,
    .unlisten = xf_rdma_unlisten,
    .connect = xf_rdma_connect,
    .send = rdma_send,
    .recv = rdma_recv,
    .recv_payload = rdma_recv_payload,
    .pollfd = rdma_pollfd,
    .abort = rdma_abort,
    .stats = rdma_stats,
    .close = rdma_close,
};
