/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libxl's events: see libxl_turn.h. */
#include "libxl-ext/xen/libxl_turn.h"

#include <poll.h>
#include <sys/time.h>

#include <libxl_event.h>

#define TURN_MS 100
#define FDS_MAX 64

void xf_libxl_turn(libxl_ctx *ctx)
{
    struct pollfd fds[FDS_MAX];
    int n = FDS_MAX, timeout = TURN_MS;
    struct timeval now;

    gettimeofday(&now, NULL);
    if (libxl_osevent_beforepoll(ctx, &n, fds, &timeout, now))
        n = 0; /* it needs a few descriptors; without them its timeout still works */
    if (poll(fds, (nfds_t)n, timeout) < 0)
        for (int i = 0; i < n; i++)
            fds[i].revents = 0;
    gettimeofday(&now, NULL);
    libxl_osevent_afterpoll(ctx, n, fds, now);
}
