/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes on an open channel, plain or in TLS: straight from and into the caller's memory where the
 * protocol below allows it, waiting with poll() for the socket, the deadline or an abort. Knows
 * nothing of messages.
 *
 * Payload memory may be a foreign mapping (VM_PFNMAP): the kernel and memcpy may read and
 * write it, but its pages cannot be pinned, so no MSG_ZEROCOPY and no splice here.
 */
#include "transport/tcp/tcp.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "transport/clock.h"

static int check_abort(struct xf_chan *c, struct xf_err *err)
{
    if (atomic_load_explicit(&c->aborted, memory_order_acquire))
        return xf_fail_link(err, ECANCELED, "%s: given up on this side", c->who);
    return 0;
}

int xf_tcp_wait(struct xf_chan *c, short events, int timeout_ms, struct xf_err *err)
{
    int64_t deadline = timeout_ms < 0 ? -1 : xf_now_ms() + timeout_ms;
    struct pollfd p[2] = {{.fd = c->fd, .events = events}, {.fd = c->wake, .events = POLLIN}};
    int n;

    for (;;) {
        n = poll(p, 2, xf_ms_left(deadline));
        if (check_abort(c, err))
            return -1;
        if (n > 0)
            return 0; /* also on POLLERR and POLLHUP: the next call reports the cause */
        if (n == 0 && xf_ms_left(deadline) == 0)
            return 1;
        if (n < 0 && errno != EINTR)
            return xf_fail_link(err, errno, "%s: poll: %s", c->who, strerror(errno));
    }
}

/* Bytes in the socket: not acknowledged by the peer, or (POLLIN) not read by us. */
static int queued(struct xf_chan *c, short events)
{
    int n = 0;

    return ioctl(c->fd, events == POLLIN ? SIOCINQ : SIOCOUTQ, &n) ? 0 : n;
}

/*
 * Wait for this many bytes, not for the first to arrive: on a fast link a thread would be woken for
 * each 64 KiB, and waking a processor costs about as much as copying that.
 */
static void await_bytes(struct xf_chan *c, size_t bytes)
{
    int n = bytes < XF_TCP_FEW ? 1 : bytes < XF_TCP_MANY ? (int)bytes : (int)XF_TCP_MANY;

    if (n == c->lowat || setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &n, sizeof(n)))
        return; /* stays as before: it affects speed alone */
    c->lowat = n;
}

/* Wait for progress within a message. */
static int wait_stall(struct xf_chan *c, short events, struct xf_err *err)
{
    struct xf_wait w = xf_wait_begin(&c->messages, c->stall_ms, events == POLLIN);
    int rc, before, after = queued(c, events);

    do {
        before = after;
        rc = xf_tcp_wait(c, events, xf_wait_slice(&w), err);
        after = queued(c, events);
        /* a socket is writable only when a third of its buffer is free, and readable when the bytes
         * asked for have arrived: on a slow line that may take longer although bytes do move */
        if (rc >= 0 &&
            xf_wait_on(&w, rc == 0 || (events == POLLOUT ? after < before : after > before), err))
            return -1;
    } while (rc == 1);
    return rc;
}

static int io_failed(struct xf_chan *c, int num, struct xf_err *err)
{
    if (num == EPIPE)
        num = ECONNRESET;
    return xf_fail_link(err, num, "%s: %s", c->who, strerror(num));
}

/* Add up to max bytes of the iterator to the window; returns how many entries it now has. */
static int iter_window(struct xf_iter it, size_t max, struct iovec *win, int n)
{
    if (it.left > max)
        it.left = max;
    while (it.left && n < XF_TCP_WINDOW) {
        uint8_t *at;
        size_t len = xf_iter_piece(&it, SIZE_MAX, &at);

        win[n++] = (struct iovec){at, len};
        xf_iter_skip(&it, len);
    }
    return n;
}

static int send_plain(struct xf_chan *c, struct xf_iter *head, struct xf_iter *body,
                      struct xf_err *err)
{
    while (head->left || body->left) {
        struct msghdr mh = {.msg_iov = c->win};
        size_t part;
        ssize_t n;

        if (check_abort(c, err))
            return -1;
        mh.msg_iovlen = (size_t)iter_window(*head, SIZE_MAX, c->win, 0);
        mh.msg_iovlen = (size_t)iter_window(*body, c->piece, c->win, (int)mh.msg_iovlen);
        n = sendmsg(c->fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            if (wait_stall(c, POLLOUT, err))
                return -1;
            continue;
        }
        if (n < 0)
            return io_failed(c, errno, err);
        atomic_fetch_add_explicit(&c->tx, (uint64_t)n, memory_order_relaxed);
        part = (size_t)n < head->left ? (size_t)n : head->left;
        xf_iter_skip(head, part);
        xf_iter_skip(body, (size_t)n - part);
    }
    return 0;
}

/* The next record's plain text: in place if there is enough in one piece, else gathered. */
static size_t next_record(struct xf_chan *c, struct xf_iter *head, struct xf_iter *body,
                          uint8_t **at)
{
    size_t n;

    if (!head->left && xf_iter_piece(body, XF_TCP_RECORD, at) >= XF_TCP_RECORD) {
        xf_iter_skip(body, XF_TCP_RECORD);
        return XF_TCP_RECORD;
    }
    n = xf_iter_gather(head, c->buf, XF_TCP_RECORD);
    n += xf_iter_gather(body, c->buf + n, XF_TCP_RECORD - n);
    *at = c->buf;
    return n;
}

/* Send until fewer than `enough` bytes of records are unsent. */
static int flush_tls(struct xf_chan *c, size_t enough, struct xf_err *err)
{
    while (xf_tls_unsent(c) >= enough) {
        int rc = xf_tls_flush(c);

        if (rc < 0)
            return io_failed(c, errno, err);
        if (rc == 1 && xf_tls_unsent(c) >= enough && wait_stall(c, POLLOUT, err))
            return -1;
        if (check_abort(c, err))
            return -1;
    }
    return 0;
}

static int send_tls(struct xf_chan *c, struct xf_iter *head, struct xf_iter *body,
                    struct xf_err *err)
{
    while (head->left || body->left) {
        uint8_t *at;
        size_t len = next_record(c, head, body, &at);

        /* gnutls may take less than a record if a smaller limit was negotiated */
        while (len) {
            ssize_t n;

            if (check_abort(c, err))
                return -1;
            n = gnutls_record_send(c->tls, at, len);
            if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED) {
                /* it is encrypted already; called again, gnutls sends what it kept */
                if (flush_tls(c, 1, err))
                    return -1;
                continue;
            }
            if (n < 0)
                return xf_tls_error(c, (int)n, err);
            at += n;
            len -= (size_t)n;
        }
        if (flush_tls(c, head->left || body->left ? XF_TLS_GATHER : 1, err))
            return -1;
    }
    return 0;
}

int xf_stream_send(struct xf_chan *c, struct xf_iter *head, struct xf_iter *body,
                   struct xf_err *err)
{
    return c->tls ? send_tls(c, head, body, err) : send_plain(c, head, body, err);
}

static int closed(struct xf_chan *c, struct xf_err *err)
{
    return xf_fail_link(err, ECONNRESET, "%s: the peer closed the connection", c->who);
}

/* One attempt to read ahead. 1: would block. */
static int fill_plain(struct xf_chan *c, struct xf_err *err)
{
    ssize_t n;

    do
        n = recv(c->fd, c->buf, sizeof(c->buf), MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 1;
    if (n < 0)
        return io_failed(c, errno, err);
    if (n == 0)
        return closed(c, err);
    atomic_fetch_add_explicit(&c->rx, (uint64_t)n, memory_order_relaxed);
    c->ahead = c->buf;
    c->ahead_len = (size_t)n;
    return 0;
}

static int fill_tls(struct xf_chan *c, struct xf_err *err)
{
    gnutls_datum_t d = {0};
    ssize_t n;

    if (c->packet)
        gnutls_packet_deinit(c->packet);
    c->packet = NULL;
    do
        n = gnutls_record_recv_packet(c->tls, &c->packet);
    while (n == GNUTLS_E_INTERRUPTED);
    if (n == GNUTLS_E_AGAIN)
        return 1;
    if (n == 0)
        return closed(c, err);
    if (n < 0)
        return xf_tls_error(c, (int)n, err);
    c->mid_record = false;
    gnutls_packet_get(c->packet, &d, NULL);
    c->ahead = d.data;
    c->ahead_len = d.size;
    return 0;
}

int xf_stream_fill(struct xf_chan *c, int timeout_ms, struct xf_err *err)
{
    int64_t deadline = timeout_ms < 0 ? -1 : xf_now_ms() + timeout_ms;
    int rc;

    while (c->ahead_len == 0) {
        if (check_abort(c, err))
            return -1;
        rc = c->tls ? fill_tls(c, err) : fill_plain(c, err);
        if (rc == 1) {
            if (timeout_ms < 0 && c->mid_record) /* half a record: the message has begun */
                rc = wait_stall(c, POLLIN, err);
            else
                rc = xf_tcp_wait(c, POLLIN, xf_ms_left(deadline), err);
            if (rc == 1)
                return XF_AGAIN;
        }
        if (rc < 0)
            return -1;
    }
    return 0;
}

static void take_ahead(struct xf_chan *c, struct xf_iter *to)
{
    size_t n = xf_iter_scatter(to, c->ahead, c->ahead_len);

    c->ahead += n;
    c->ahead_len -= n;
}

static int recv_direct(struct xf_chan *c, struct xf_iter *to, struct xf_err *err)
{
    struct msghdr mh = {.msg_iov = c->win};
    ssize_t n;

    mh.msg_iovlen = (size_t)iter_window(*to, SIZE_MAX, c->win, 0);
    n = recvmsg(c->fd, &mh, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR)
        return 0;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 1;
    if (n < 0)
        return io_failed(c, errno, err);
    if (n == 0)
        return closed(c, err);
    atomic_fetch_add_explicit(&c->rx, (uint64_t)n, memory_order_relaxed);
    xf_iter_skip(to, (size_t)n);
    return 0;
}

int xf_stream_recv(struct xf_chan *c, struct xf_iter *to, struct xf_err *err)
{
    int rc;

    for (;;) {
        take_ahead(c, to);
        if (to->left == 0) {
            await_bytes(c, 1); /* also for callers that poll it themselves */
            return 0;
        }
        if (check_abort(c, err))
            return -1;
        if (c->tls) /* gnutls decrypts into memory of its own anyway */
            rc = fill_tls(c, err);
        else if (to->left >= XF_TCP_AHEAD)
            rc = recv_direct(c, to, err);
        else
            rc = fill_plain(c, err); /* the next message's head may arrive with it */
        if (rc == 1) {
            await_bytes(c, c->tls ? 1 : to->left); /* the length of the next records is unknown */
            rc = wait_stall(c, POLLIN, err);
        }
        if (rc < 0)
            return -1;
    }
}
