/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of unfinished handshakes. */
#include "transport/handshakes.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "transport/clock.h"
#include "transport/transport.h"

int xf_handshakes_open(struct xf_handshakes *h, const struct xf_handshakes_ops *ops,
                       struct xf_listener *l, struct xf_err *err)
{
    h->ops = ops;
    h->listener = l;
    for (unsigned i = 0; i < XF_HANDSHAKES; i++)
        h->place[i].fd = -1;
    h->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (h->wake < 0)
        return xf_fail(err, errno, "no descriptor for a listener: %s", strerror(errno));
    return 0;
}

void xf_handshakes_close(struct xf_handshakes *h)
{
    for (unsigned i = 0; i < XF_HANDSHAKES; i++)
        if (h->place[i].fd >= 0)
            xf_handshakes_drop(h, i);
    if (h->wake >= 0)
        close(h->wake);
}

struct xf_neighbourhood xf_neighbourhood(const struct sockaddr *sa)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)sa;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)sa;
    struct xf_neighbourhood n = {.family = sa->sa_family};

    if (sa->sa_family == AF_INET) {
        memcpy(n.prefix, &four->sin_addr, 4);
    } else if (sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
        n.family = AF_INET;
        memcpy(n.prefix, &six->sin6_addr.s6_addr[12], 4);
    } else if (sa->sa_family == AF_INET6) {
        memcpy(n.prefix, &six->sin6_addr, sizeof(n.prefix));
    }
    return n;
}

static bool are_same(const struct xf_neighbourhood *a, const struct xf_neighbourhood *b)
{
    return a->family == b->family && !memcmp(a->prefix, b->prefix, sizeof(a->prefix));
}

/* Every place is taken: the handshake to cancel for a new one from that neighbourhood. */
static unsigned find_victim(const struct xf_handshakes *h, const struct xf_neighbourhood *from)
{
    unsigned victim = 0, most = 0;

    for (unsigned i = 0; i < XF_HANDSHAKES; i++) {
        bool own = are_same(&h->place[i].from, from);
        unsigned weight = own; /* the new one */

        for (unsigned k = 0; k < XF_HANDSHAKES; k++)
            weight += are_same(&h->place[i].from, &h->place[k].from);
        weight = 2 * weight + own; /* in a tie, the new one's own */
        if (weight > most || (weight == most && h->place[i].deadline < h->place[victim].deadline)) {
            most = weight;
            victim = i;
        }
    }
    return victim;
}

unsigned xf_handshakes_room(struct xf_handshakes *h, const struct sockaddr *sa)
{
    struct xf_neighbourhood from = xf_neighbourhood(sa);
    unsigned i;

    for (i = 0; i < XF_HANDSHAKES && h->place[i].fd >= 0; i++)
        ;
    if (i == XF_HANDSHAKES) {
        i = find_victim(h, &from);
        xf_handshakes_drop(h, i);
    }
    h->place[i].from = from;
    return i;
}

void xf_handshakes_begin(struct xf_handshakes *h, unsigned i, int fd, short events, int timeout_ms)
{
    assert(i < XF_HANDSHAKES && h->place[i].fd < 0 && fd >= 0);
    h->place[i].fd = fd;
    h->place[i].events = events;
    h->place[i].deadline = xf_now_ms() + timeout_ms;
}

void xf_handshakes_drop(struct xf_handshakes *h, unsigned i)
{
    h->ops->cancel(h->listener, i);
    h->place[i].fd = -1;
}

/* XF_HANDSHAKE_GOES_ON: no handshake is done; otherwise as the step op. */
static int step_ready(struct xf_handshakes *h, const struct pollfd *fds, struct xf_chan **out,
                      struct xf_chan_id *id, struct xf_err *err)
{
    for (unsigned i = 0; i < XF_HANDSHAKES; i++) {
        int rc;

        if (h->place[i].fd < 0)
            continue;
        if (fds[i].revents) {
            rc = h->ops->step(h->listener, i, &h->place[i].events, out, id, err);
            if (rc == XF_HANDSHAKE_DONE)
                h->place[i].fd = -1;
            else if (rc != XF_HANDSHAKE_GOES_ON)
                xf_handshakes_drop(h, i);
            if (rc == XF_HANDSHAKE_DONE || rc < 0)
                return rc;
        } else if (xf_ms_left(h->place[i].deadline) == 0) {
            xf_handshakes_drop(h, i);
        }
    }
    return XF_HANDSHAKE_GOES_ON;
}

int xf_handshakes_accept(struct xf_handshakes *h, int listen_fd, int timeout_ms,
                         struct xf_chan **out, struct xf_chan_id *id, struct xf_err *err)
{
    int64_t deadline = timeout_ms < 0 ? -1 : xf_now_ms() + timeout_ms;
    struct pollfd fds[XF_HANDSHAKES + 2];

    for (;;) {
        int n, rc, left, wait = xf_ms_left(deadline);

        for (unsigned i = 0; i < XF_HANDSHAKES; i++) {
            fds[i] = (struct pollfd){.fd = h->place[i].fd, .events = h->place[i].events};
            left = h->place[i].fd >= 0 ? xf_ms_left(h->place[i].deadline) : -1;
            if (left >= 0 && (wait < 0 || left < wait))
                wait = left;
        }
        fds[XF_HANDSHAKES] = (struct pollfd){.fd = listen_fd, .events = POLLIN};
        fds[XF_HANDSHAKES + 1] = (struct pollfd){.fd = h->wake, .events = POLLIN};
        n = poll(fds, XF_HANDSHAKES + 2, wait);
        if (n < 0 && errno != EINTR)
            return xf_fail(err, errno, "accepting connections: poll: %s", strerror(errno));
        if (atomic_load_explicit(&h->aborted, memory_order_acquire))
            return xf_fail(err, ECANCELED, "this side gave up waiting for the peer");
        if (n >= 0) {
            rc = step_ready(h, fds, out, id, err);
            if (rc != XF_HANDSHAKE_GOES_ON)
                return rc < 0 ? -1 : 0;
            if (fds[XF_HANDSHAKES].revents && h->ops->take(h->listener, err))
                return -1;
        }
        if (xf_ms_left(deadline) == 0) /* however busy strangers keep us */
            return XF_AGAIN;
    }
}

void xf_handshakes_abort(struct xf_handshakes *h)
{
    uint64_t one = 1;

    atomic_store_explicit(&h->aborted, true, memory_order_release);
    if (write(h->wake, &one, sizeof(one)) < 0)
        return; /* full, so it is readable already */
}
