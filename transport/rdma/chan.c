/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels of the RDMA transport: their life, and the table of ops. How bytes move is in stream.c
 * and flow.c; how a channel is made, in connect.c and listen.c.
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
    if (xf_link_cfg_check(cfg, err))
        return -1;
    if (cfg->rdma_buffer &&
        (cfg->rdma_buffer < XF_RDMA_BUFFER_MIN || cfg->rdma_buffer > XF_RDMA_BUFFER_MAX))
        return xf_fail(err, EINVAL, "an RDMA buffer has %u KiB to %u MiB, not %u bytes",
                       XF_RDMA_BUFFER_MIN >> 10, XF_RDMA_BUFFER_MAX >> 20, cfg->rdma_buffer);
    return 0;
}

static const struct xf_stream_ops stream_ops = {
    .send = xf_rdma_stream_send,
    .fill = xf_rdma_stream_fill,
    .recv = xf_rdma_stream_recv,
};

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
    snprintf(c->who, sizeof(c->who), "this side"); /* failures are ours until a peer is known */
    c->epoll = -1;
    c->ahead_slot = -1;
    c->messages = (struct xf_messages){.ops = &stream_ops, .chan = c, .who = c->who};
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

/* Lets the peer tell an orderly end from a cut line. Once its device has acknowledged the good-bye
 * it has everything; data in flight when a queue pair is destroyed is lost. */
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
    return xf_message_send(&c->messages, m, meta, iov, niov, err);
}

static int rdma_recv(struct xf_chan *c, struct xf_msg *m, void *meta, int timeout_ms,
                     struct xf_err *err)
{
    return xf_message_recv(&c->messages, m, meta, timeout_ms, err);
}

static int rdma_recv_payload(struct xf_chan *c, const struct iovec *iov, int niov,
                             struct xf_err *err)
{
    return xf_message_recv_payload(&c->messages, iov, niov, err);
}

static int rdma_pollfd(struct xf_chan *c, bool *ready)
{
    xf_rdma_take_events(c);
    xf_rdma_progress(c);
    if (!c->armed && xf_rdma_arm(c, &c->fault) == 0)
        xf_rdma_progress(c); /* earlier completions raise no event */
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

static void rdma_watch(struct xf_chan *c, struct xf_tick tick)
{
    c->messages.tick = tick;
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
    .watch = rdma_watch,
    .stats = rdma_stats,
    .close = rdma_close,
};
