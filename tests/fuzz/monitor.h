/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device model's monitor whose every session is a fuzz target's input; then it hangs up. What
 * includes this has its connect(2) replaced.
 */
#ifndef XF_FUZZ_MONITOR_H
#define XF_FUZZ_MONITOR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fuzz/must.h"

static struct {
    const uint8_t *data;
    size_t size;
    int fd; /* the monitor's end of the last session; -1: there was none */
} monitor;  /* connect(2) has no place for it */

static void monitor_begin(const uint8_t *data, size_t size)
{
    monitor.data = data;
    monitor.size = size;
    monitor.fd = -1;
}

static void monitor_end(void)
{
    if (monitor.fd >= 0)
        close(monitor.fd);
}

/* Instead of the C library's: whatever path it is, the input is behind it. */
int connect(int fd, const struct sockaddr *to, socklen_t len)
{
    int pair[2], room = 1 << 20;

    (void)to;
    (void)len;
    monitor_end();
    MUST(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) && dup2(pair[0], fd) == fd);
    close(pair[0]);
    monitor.fd = pair[1];
    setsockopt(monitor.fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    send(monitor.fd, monitor.data, monitor.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(monitor.fd, SHUT_WR);
    return 0;
}

#endif
