/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels of the TCP transport: their life, and the table of ops. How bytes move is in stream.c;
 * how a channel is made, in connect.c and listen.c.
 */
#include "transport/tcp/tcp.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void set_int(int fd, int level, int opt, int value)
{
    /* each makes a good connection better; none is worth failing for */
    (void)setsockopt(fd, level, opt, &value, sizeof(value));
}

/* Make the kernel notice a dead peer within stall_ms, even while nothing is sent. */
static void tune(int fd, int stall_ms)
{
    int s = stall_ms / 1000;

    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (stall_ms <= 0)
        return;
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, s < 2 ? 1 : s / 2);
    set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, s < 8 ? 1 : s / 8);
    set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
    set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, stall_ms);
}

static const struct xf_stream_ops stream_ops = {
    .send = xf_stream_send,
    .fill = xf_stream_fill,
    .recv = xf_stream_recv,
};

struct xf_chan *xf_chan_new(const struct xf_link_cfg *cfg, int fd, const struct sockaddr *peer,
                            socklen_t len, struct xf_err *err)
{
    char host[48] = "?", port[8] = "?";
    struct xf_chan *c = calloc(1, sizeof(*c));

    if (!c) {
        close(fd);
        xf_fail(err, ENOMEM, "no memory for a channel");
        return NULL;
    }
    c->fd = fd;
    c->messages = (struct xf_messages){.ops = &stream_ops, .chan = c, .who = c->who};
    c->stall_ms = cfg->stall_ms;
    c->piece = SIZE_MAX;
    c->lowat = 1;
    c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->wake < 0) {
        xf_fail(err, errno, "no descriptor for a channel: %s", strerror(errno));
        xf_chan_free(c);
        return NULL;
    }
    getnameinfo(peer, len, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
    /* a dual-stack listener sees IPv4 peers as ::ffff:192.0.2.1, which no operator expects */
    snprintf(c->who, sizeof(c->who), "%s port %s",
             strncmp(host, "::ffff:", 7) || !strchr(host, '.') ? host : host + 7, port);
    tune(fd, cfg->stall_ms);
    return c;
}

void xf_chan_free(struct xf_chan *c)
{
    if (!c)
        return;
    xf_tls_drop(c);
    if (c->wake >= 0)
        close(c->wake);
    close(c->fd);
    free(c);
}

static void tcp_close(struct xf_chan *c)
{
    /* Lets the peer tell an orderly end from a cut line. Non-blocking: it may not go out. */
    if (c && c->tls && !atomic_load(&c->aborted))
        gnutls_bye(c->tls, GNUTLS_SHUT_WR);
    if (c && c->tls)
        xf_tls_flush(c); /* the good-bye; if there is no room for it the peer sees a cut */
    xf_chan_free(c);
}

static int tcp_send(struct xf_chan *c, const struct xf_msg *m, const void *meta,
                    const struct iovec *iov, int niov, struct xf_err *err)
{
    return xf_message_send(&c->messages, m, meta, iov, niov, err);
}

static int tcp_recv(struct xf_chan *c, struct xf_msg *m, void *meta, int timeout_ms,
                    struct xf_err *err)
{
    return xf_message_recv(&c->messages, m, meta, timeout_ms, err);
}

static int tcp_recv_payload(struct xf_chan *c, const struct iovec *iov, int niov,
                            struct xf_err *err)
{
    return xf_message_recv_payload(&c->messages, iov, niov, err);
}

static int tcp_pollfd(struct xf_chan *c, bool *ready)
{
    *ready = c->ahead_len || (c->tls && xf_tls_has_input(c));
    return c->fd;
}

static void tcp_abort(struct xf_chan *c)
{
    uint64_t one = 1;

    atomic_store_explicit(&c->aborted, true, memory_order_release);
    /* never drained: every later wait ends at once, too */
    if (write(c->wake, &one, sizeof(one)) < 0)
        return; /* full, so it is readable already */
}

static void tcp_watch(struct xf_chan *c, struct xf_tick tick)
{
    c->messages.tick = tick;
}

static void tcp_stats(const struct xf_chan *c, struct xf_chan_stats *out)
{
    memset(out, 0, sizeof(*out));
    out->tx_bytes = atomic_load_explicit(&c->tx, memory_order_relaxed);
    out->rx_bytes = atomic_load_explicit(&c->rx, memory_order_relaxed);
}

static uint64_t tcp_in_network(const struct xf_chan *c)
{
    int unacked;

    return ioctl(c->fd, SIOCOUTQ, &unacked) || unacked < 0 ? UINT64_MAX
                                                           : (uint64_t)unacked + xf_tls_unsent(c);
}

const struct xf_transport_ops xf_tcp_ops = {
    .name = "tcp",
    .listen = xf_tcp_listen,
    .accept = xf_tcp_accept,
    .abort_accept = xf_tcp_abort_accept,
    .unlisten = xf_tcp_unlisten,
    .connect = xf_tcp_connect,
    .send = tcp_send,
    .recv = tcp_recv,
    .recv_payload = tcp_recv_payload,
    .pollfd = tcp_pollfd,
    .abort = tcp_abort,
    .watch = tcp_watch,
    .stats = tcp_stats,
    .in_network = tcp_in_network,
    .hold = xf_tcp_hold,
    .close = tcp_close,
};
