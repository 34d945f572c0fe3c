/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The source's side of making a connection: resolve, try each address, handshake, all
 * within cfg->timeout_ms (resolving excepted: the C library offers no deadline for it).
 */
#include "transport/tcp/tcp.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "transport/clock.h"
#include "transport/lookup.h"

static int bind_source(int fd, const char *src, int family, struct xf_err *err)
{
    struct addrinfo *ai;
    int rc;

    if (xf_lookup(src, 0, AI_NUMERICHOST, family, &ai, err))
        return xf_wrap(err, "local address %s", src);
    rc = bind(fd, ai->ai_addr, ai->ai_addrlen);
    if (rc)
        xf_fail_link(err, errno, "local address %s: %s", src, strerror(errno));
    freeaddrinfo(ai);
    return rc ? -1 : 0;
}

/* Try one address for at most timeout_ms. Returns the socket. */
static int try_address(const struct addrinfo *ai, const char *src, int timeout_ms,
                       struct xf_err *err)
{
    int64_t deadline = xf_now_ms() + timeout_ms;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int num = 0, n;
    socklen_t len = sizeof(num);
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    if (fd < 0)
        return xf_fail_link(err, errno, "socket: %s", strerror(errno));
    if (src && bind_source(fd, src, ai->ai_family, err))
        goto err_close;
    if (connect(fd, ai->ai_addr, ai->ai_addrlen) && errno != EINPROGRESS && errno != EINTR) {
        xf_fail_link(err, errno, "%s", strerror(errno));
        goto err_close;
    }
    do
        n = poll(&p, 1, xf_ms_left(deadline));
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        num = n ? errno : ETIMEDOUT;
    else
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &num, &len);
    if (num) {
        xf_fail_link(err, num, "%s", strerror(num));
        goto err_close;
    }
    return fd;

err_close:
    close(fd);
    return -1;
}

static int handshake(const struct xf_link_cfg *cfg, struct xf_chan *c, int64_t deadline,
                     struct xf_err *err)
{
    struct xf_hs hs;
    short events;
    int rc;

    if (xf_tls_client(c, cfg, err))
        return -1;
    xf_hs_init(&hs, c, cfg, false, NULL);
    while ((rc = xf_hs_step(&hs, &events, err)) == 0) {
        rc = xf_tcp_wait(c, events, xf_ms_left(deadline), err);
        if (rc == 1)
            return xf_fail_link(err, ETIME, "%s: the peer did not finish the handshake in %d ms",
                                c->who, cfg->timeout_ms);
        if (rc < 0)
            return -1;
    }
    return rc < 0 ? -1 : 0;
}

int xf_tcp_connect(const struct xf_link_cfg *cfg, const char *host, uint16_t port, const char *src,
                   struct xf_chan_id id, struct xf_chan **out, struct xf_err *err)
{
    char name[XF_CHAN_NAME];
    int64_t deadline = xf_now_ms() + cfg->timeout_ms;
    struct addrinfo *list, *ai;
    struct xf_chan *c;
    struct xf_err last = {0};
    int fd = -1, left = 0;

    if (xf_link_cfg_check(cfg, err) || xf_tcp_allowed(err))
        return -1;
    if (xf_lookup(host, port, 0, AF_UNSPEC, &list, err))
        return xf_wrap(err, "%s to %s", xf_chan_name(name, id), host);
    for (ai = list; ai; ai = ai->ai_next)
        left++;
    for (ai = list; ai && fd < 0; ai = ai->ai_next, left--) {
        xf_clear(&last); /* an even share each, so that a black hole leaves time for the next */
        fd = try_address(ai, src, xf_ms_left(deadline) / left, &last);
        if (fd >= 0)
            break;
    }
    if (fd < 0) {
        freeaddrinfo(list);
        return xf_fail_as(err, &last, "%s to %s port %u: %s", xf_chan_name(name, id), host, port,
                          last.text);
    }
    c = xf_chan_new(cfg, fd, ai->ai_addr, ai->ai_addrlen, err);
    freeaddrinfo(list);
    if (!c)
        return -1;
    c->which = id;
    {
        char peer[sizeof(c->who)];

        memcpy(peer, c->who, sizeof(peer));
        snprintf(c->who, sizeof(c->who), "%s to %.70s", xf_chan_name(name, id), peer);
    }
    if (handshake(cfg, c, deadline, err)) {
        xf_chan_free(c);
        return -1;
    }
    *out = c;
    return 0;
}
