/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeping a channel's bytes out of the queues of a slow path: the socket's buffer is made so small
 * that it holds about as much as the path, and the sender waits.
 *
 * The buffer counts unacknowledged bytes, so it bounds the queues on the path, too. The kernel
 * checks it before each segment of up to 64 KiB and fills the segment whatever the buffer's size
 * (tcp_sendmsg_locked(), net/ipv4/tcp.c), so each call must be given little as well.
 */
#include <linux/tcp.h> /* tcpi_min_rtt; cannot be included with netinet/tcp.h */

#include "transport/tcp/tcp.h"

#define HELD_MIN 8192u
#define HELD_MAX (4u << 20)
#define PIECE_MIN 4096u

/* The path's shortest recent round trip in seconds; 0: unknown. */
static double min_rtt(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) || info.tcpi_min_rtt == UINT32_MAX)
        return 0;
    return info.tcpi_min_rtt / 1e6;
}

void xf_tcp_hold(struct xf_chan *c, double rate, size_t more)
{
    double want = rate * min_rtt(c->fd) + (double)more;
    size_t bytes = want < HELD_MIN ? HELD_MIN : want > HELD_MAX ? HELD_MAX : (size_t)want;
    int half = (int)(bytes / 2); /* the kernel doubles it, socket(7) */

    if (bytes > c->held - c->held / 4 && bytes < c->held + c->held / 4)
        return;
    /* Only root may exceed the system-wide limit. This affects speed alone. */
    if (setsockopt(c->fd, SOL_SOCKET, SO_SNDBUFFORCE, &half, sizeof(half)) &&
        setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &half, sizeof(half)))
        return;
    c->held = bytes;
    c->piece = bytes / 4 < PIECE_MIN ? PIECE_MIN : bytes / 4;
}
