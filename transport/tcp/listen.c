/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sink's side of making connections. accept() drives a small table of unfinished
 * handshakes with one poll(), so that a slow or hostile peer holds up nobody; both the
 * table and each handshake's time are bounded.
 */
#include "transport/tcp/tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "transport/clock.h"
#include "transport/lookup.h"

#define PENDING_MAX 32 /* a whole move of 18 channels may come at once */

struct pending {
    struct xf_hs hs; /* hs.c == NULL: free */
    int64_t deadline;
    short events;
};

struct xf_listener {
    int fd;
    int wake;
    atomic_bool aborted;
    struct xf_link_cfg cfg;
    gnutls_psk_server_credentials_t cred;
    bool chacha;
    uint32_t taken; /* bit n: channel n is connected */
    struct pending pending[PENDING_MAX];
};

static int bind_listen(const struct sockaddr *sa, socklen_t len, struct xf_err *err)
{
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1, off = 0;

    if (fd < 0)
        return xf_fail(err, errno, "socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (sa->sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, sa, len) || listen(fd, 64)) {
        xf_fail(err, errno, "%s", strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

/* Every address: one IPv6 socket takes IPv4 as well, unless the machine has no IPv6. */
static int listen_any(uint16_t port, struct xf_err *err)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct xf_err first = {0};
    int fd = bind_listen((struct sockaddr *)&six, sizeof(six), &first);

    if (fd < 0 && (first.num == EAFNOSUPPORT || first.num == EADDRNOTAVAIL))
        return bind_listen((struct sockaddr *)&four, sizeof(four), err);
    if (fd < 0)
        xf_fail(err, first.num, "%s", first.text);
    return fd;
}

static int listen_at(const char *addr, uint16_t port, struct xf_err *err)
{
    struct addrinfo *ai;
    int fd;

    if (xf_lookup(addr, port, AI_NUMERICHOST, AF_UNSPEC, &ai, err))
        return -1;
    fd = bind_listen(ai->ai_addr, ai->ai_addrlen, err);
    freeaddrinfo(ai);
    return fd;
}

int xf_tcp_listen(const struct xf_link_cfg *cfg, const char *addr, uint16_t port,
                  struct xf_listener **out, uint16_t *port_out, struct xf_err *err)
{
    struct xf_listener *l;
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } own = {.six = {0}};
    socklen_t len = sizeof(own);

    if (xf_tcp_check(cfg, err))
        return -1;
    l = calloc(1, sizeof(*l));
    if (!l)
        return xf_fail(err, ENOMEM, "no memory for a listener");
    l->cfg = *cfg;
    l->wake = -1;
    l->fd = addr ? listen_at(addr, port, err) : listen_any(port, err);
    if (l->fd < 0) {
        xf_wrap(err, "listening on %s port %u", addr ? addr : "every address", port);
        goto err_free;
    }
    l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->wake < 0 || getsockname(l->fd, &own.any, &len)) {
        xf_fail(err, errno, "listening: %s", strerror(errno));
        goto err_free;
    }
    if (xf_tls_server_cred(&l->cred, err)) {
        l->cred = NULL;
        goto err_free;
    }
    l->chacha = xf_tcp_prefer_chacha();
    *port_out = ntohs(own.any.sa_family == AF_INET6 ? own.six.sin6_port : own.four.sin_port);
    *out = l;
    return 0;

err_free:
    xf_tcp_unlisten(l);
    return -1;
}

void xf_tcp_unlisten(struct xf_listener *l)
{
    int i;

    if (!l)
        return;
    for (i = 0; i < PENDING_MAX; i++)
        if (l->pending[i].hs.c)
            xf_hs_cancel(&l->pending[i].hs);
    if (l->cred)
        gnutls_psk_free_server_credentials(l->cred);
    if (l->wake >= 0)
        close(l->wake);
    if (l->fd >= 0)
        close(l->fd);
    gnutls_memset(&l->cfg, 0, sizeof(l->cfg));
    free(l);
}

void xf_tcp_abort_accept(struct xf_listener *l)
{
    uint64_t one = 1;

    atomic_store_explicit(&l->aborted, true, memory_order_release);
    if (write(l->wake, &one, sizeof(one)) < 0)
        return; /* full, so it is readable already */
}

/* A free place, if need be that of the oldest: who floods us pushes out his own first. */
static struct pending *place(struct xf_listener *l)
{
    struct pending *oldest = &l->pending[0];
    int i;

    for (i = 0; i < PENDING_MAX; i++) {
        struct pending *p = &l->pending[i];

        if (!p->hs.c)
            return p;
        if (p->deadline < oldest->deadline)
            oldest = p;
    }
    xf_hs_cancel(&oldest->hs);
    return oldest;
}

/* Take what the kernel has. Fails only if accepting itself is broken. */
static int take_new(struct xf_listener *l, struct xf_err *err)
{
    int i;

    for (i = 0; i < PENDING_MAX; i++) {
        struct sockaddr_storage ss;
        socklen_t len = sizeof(ss);
        struct pending *p;
        struct xf_chan *c;
        int fd = accept4(l->fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return 0;
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS ||
                       errno == EBADF || errno == EINVAL))
            return xf_fail(err, errno, "accepting connections: %s", strerror(errno));
        if (fd < 0)
            continue; /* that connection's own trouble (accept(2)) */
        p = place(l);
        c = xf_chan_new(&l->cfg, fd, (struct sockaddr *)&ss, len, err);
        if (!c)
            return -1;
        xf_hs_init(&p->hs, c, &l->cfg, true, &l->taken);
        p->deadline = xf_now_ms() + l->cfg.timeout_ms;
        p->events = POLLIN;
        if (xf_tls_server(c, &l->cfg, l->cred, l->chacha, err)) {
            xf_hs_cancel(&p->hs);
            return -1;
        }
    }
    return 0;
}

static int finish(struct pending *p, struct xf_chan **out, unsigned *index)
{
    struct xf_chan *c = p->hs.c;
    char peer[sizeof(c->who)];

    memcpy(peer, c->who, sizeof(peer));
    snprintf(c->who, sizeof(c->who), "channel %u from %.70s", c->index, peer);
    *out = c;
    *index = c->index;
    p->hs.c = NULL;
    return 1;
}

/* 1: a channel is open, 0: not yet or dropped, -1: a peer who knows the key was refused. */
static int step(struct pending *p, struct xf_chan **out, unsigned *index, struct xf_err *err)
{
    struct xf_err why = {0};
    int rc = xf_hs_step(&p->hs, &p->events, &why);

    if (rc == 1)
        return finish(p, out, index);
    if (rc == 0)
        return 0;
    if (p->hs.verdict != XF_HELLO_WELCOME) /* so it came as far as a hello: it knows the key */
        xf_fail(err, why.num, "%s", why.text);
    else
        rc = 0; /* a stranger, or one who went away: no business of the caller's */
    xf_hs_cancel(&p->hs);
    return rc;
}

int xf_tcp_accept(struct xf_listener *l, int timeout_ms, struct xf_chan **out, unsigned *index,
                  struct xf_err *err)
{
    int64_t deadline = timeout_ms < 0 ? -1 : xf_now_ms() + timeout_ms;
    struct pollfd fds[2 + PENDING_MAX];
    int i, n, rc, wait, left;

    for (;;) {
        fds[0] = (struct pollfd){.fd = l->wake, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = l->fd, .events = POLLIN};
        wait = xf_ms_left(deadline);
        for (i = 0; i < PENDING_MAX; i++) {
            struct pending *p = &l->pending[i];

            fds[2 + i] = (struct pollfd){.fd = p->hs.c ? p->hs.c->fd : -1, .events = p->events};
            left = p->hs.c ? xf_ms_left(p->deadline) : -1;
            if (left >= 0 && (wait < 0 || left < wait))
                wait = left;
        }
        n = poll(fds, 2 + PENDING_MAX, wait);
        if (n < 0 && errno != EINTR)
            return xf_fail(err, errno, "accepting connections: poll: %s", strerror(errno));
        if (atomic_load_explicit(&l->aborted, memory_order_acquire))
            return xf_fail(err, ECANCELED, "waiting for the peer was given up on this side");
        for (i = 0; i < PENDING_MAX; i++) {
            struct pending *p = &l->pending[i];

            if (!p->hs.c)
                continue;
            if (n > 0 && fds[2 + i].revents) {
                rc = step(p, out, index, err);
                if (rc)
                    return rc < 0 ? -1 : 0;
            } else if (xf_ms_left(p->deadline) == 0) {
                xf_hs_cancel(&p->hs);
            }
        }
        if (n > 0 && fds[1].revents && take_new(l, err))
            return -1;
        if (xf_ms_left(deadline) == 0) /* whatever strangers keep us busy with */
            return XF_AGAIN;
    }
}
