/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sink's side of making connections: the listening socket, and the handshake ops for the table
 * of transport/handshakes.h.
 */
#include "transport/tcp/tcp.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transport/handshakes.h"
#include "transport/lookup.h"

/* Connections that the kernel queues until they are accepted. When a flood has filled the queue,
 * the source's SYN is dropped as well, and sent again after 1, 3, 7 s. So the queue is long, and
 * emptied in long strides: accepting a connection and closing it costs next to nothing. */
#define BACKLOG 1024
#define STRIDE 256u

/* A connection that has sent nothing yet: no more than its socket until it does. */
struct caller {
    int fd; /* -1: it has sent something, and hs has the channel */
    struct sockaddr_storage from;
    socklen_t len;
};

struct xf_listener {
    int fd;
    struct xf_link_cfg cfg;
    gnutls_psk_server_credentials_t cred;
    bool chacha;
    uint32_t taken; /* channels connected: frame.h */
    struct xf_handshakes table;
    struct caller callers[XF_HANDSHAKES]; /* this and hs: indexed by the table's places */
    struct xf_hs hs[XF_HANDSHAKES];
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
    if (bind(fd, sa, len) || listen(fd, BACKLOG)) {
        xf_fail(err, errno, "%s", strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

/* Listen on every address: one IPv6 socket takes IPv4 as well, unless the machine has no IPv6. */
static int listen_any(uint16_t port, struct xf_err *err)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct xf_err first = {0};
    int fd = bind_listen((struct sockaddr *)&six, sizeof(six), &first);

    if (fd < 0 && (first.num == EAFNOSUPPORT || first.num == EADDRNOTAVAIL))
        return bind_listen((struct sockaddr *)&four, sizeof(four), err);
    if (fd < 0)
        xf_fail_as(err, &first, "%s", first.text);
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

/* Accept what the kernel has queued. Fails only if accepting itself is broken. */
static int take_new(struct xf_listener *l, struct xf_err *err)
{
    for (unsigned n = 0; n < STRIDE; n++) {
        struct caller new = {.len = sizeof(new.from)};
        unsigned i;
        int fd =
            accept4(l->fd, (struct sockaddr *)&new.from, &new.len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return 0;
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS ||
                       errno == EBADF || errno == EINVAL))
            return xf_fail(err, errno, "accepting connections: %s", strerror(errno));
        if (fd < 0)
            continue; /* an error of that connection only (accept(2)) */
        i = xf_handshakes_room(&l->table, (struct sockaddr *)&new.from);
        new.fd = fd;
        l->callers[i] = new;
        xf_handshakes_begin(&l->table, i, fd, POLLIN, l->cfg.timeout_ms);
    }
    return 0;
}

/* The caller at place i has sent something: from here on it costs a channel and a TLS session. */
static int listen_to(struct xf_listener *l, unsigned i, struct xf_err *err)
{
    struct caller *from = &l->callers[i];
    struct xf_chan *c =
        xf_chan_new(&l->cfg, from->fd, (struct sockaddr *)&from->from, from->len, err);

    from->fd = -1; /* owned by the channel, or closed */
    l->hs[i] = (struct xf_hs){0};
    if (!c)
        return -1;
    xf_hs_init(&l->hs[i], c, &l->cfg, true, &l->taken);
    return xf_tls_server(c, &l->cfg, l->cred, l->chacha, err);
}

static int step(struct xf_listener *l, unsigned i, short *events, struct xf_chan **out,
                struct xf_chan_id *id, struct xf_err *err)
{
    struct xf_hs *hs = &l->hs[i];
    struct xf_chan *c;
    char peer[sizeof(c->who)], name[XF_CHAN_NAME];
    struct xf_err why = {0};
    int rc;

    if (l->callers[i].fd >= 0 && listen_to(l, i, err))
        return -1;
    c = hs->c;
    assert(c); /* set by listen_to(), and until the handshake has ended */
    rc = xf_hs_step(hs, events, &why);
    if (rc == 0)
        return XF_HANDSHAKE_GOES_ON;
    if (rc < 0 && hs->verdict == XF_HELLO_WELCOME)
        return XF_HANDSHAKE_ENDED;
    if (rc < 0) /* it got as far as a hello, so it knows the key */
        return xf_fail_as(err, &why, "%s", why.text);
    memcpy(peer, c->who, sizeof(peer));
    snprintf(c->who, sizeof(c->who), "%s from %.70s", xf_chan_name(name, c->which), peer);
    *out = c;
    *id = c->which;
    hs->c = NULL;
    return XF_HANDSHAKE_DONE;
}

static void cancel(struct xf_listener *l, unsigned i)
{
    if (l->callers[i].fd >= 0)
        close(l->callers[i].fd);
    else
        xf_hs_cancel(&l->hs[i]);
    l->callers[i].fd = -1;
}

static const struct xf_handshakes_ops handshakes_ops = {take_new, step, cancel};

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

    if (xf_link_cfg_check(cfg, err) || xf_tcp_allowed(err))
        return -1;
    l = calloc(1, sizeof(*l));
    if (!l)
        return xf_fail(err, ENOMEM, "no memory for a listener");
    l->cfg = *cfg;
    l->fd = -1;
    if (xf_handshakes_open(&l->table, &handshakes_ops, l, err))
        goto err_free;
    l->fd = addr ? listen_at(addr, port, err) : listen_any(port, err);
    if (l->fd < 0) {
        xf_wrap(err, "listening on %s port %u", addr ? addr : "every address", port);
        goto err_free;
    }
    if (getsockname(l->fd, &own.any, &len)) {
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
    if (!l)
        return;
    xf_handshakes_close(&l->table);
    if (l->cred)
        gnutls_psk_free_server_credentials(l->cred);
    if (l->fd >= 0)
        close(l->fd);
    free(l);
}

int xf_tcp_accept(struct xf_listener *l, int timeout_ms, struct xf_chan **out,
                  struct xf_chan_id *id, struct xf_err *err)
{
    return xf_handshakes_accept(&l->table, l->fd, timeout_ms, out, id, err);
}

void xf_tcp_abort_accept(struct xf_listener *l)
{
    xf_handshakes_abort(&l->table);
}
