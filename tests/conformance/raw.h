/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A peer that misbehaves: it speaks the protocol from the document, with none of the
 * transport's code, and stops or lies wherever a test wants. One table per transport.
 */
#ifndef XF_TEST_RAW_H
#define XF_TEST_RAW_H

#include <gnutls/gnutls.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct raw {
    int fd;
    gnutls_session_t tls;
    void *cred;
    bool server;
    uint8_t key[32];
};

/* A hello of version 2, from the document; index counts as in version 1. */
static inline void raw_hello(uint8_t out[32], unsigned index, unsigned channels, bool encrypt)
{
    bool bulk = index && index <= channels;

    memset(out, 0, 32);
    memcpy(out, "XFH1", 4);
    out[4] = 2;
    out[8] = (uint8_t)(bulk ? index - 1 : 0);
    out[10] = (uint8_t)channels;
    out[12] = encrypt;
    out[14] = bulk ? 1 : index ? 2 : 0;
    out[16] = 1;
}

struct raw_ops {
    int (*dial)(struct raw *r, const char *addr, uint16_t port);
    /* Be the sink: *listen_fd and *port first, then the first connection. */
    int (*listen)(const char *addr, uint16_t *port);
    int (*answer)(struct raw *r, int listen_fd);
    int (*prove)(struct raw *r, const uint8_t key[32]); /* everything before the hello */
    void (*plain)(struct raw *r);                       /* leave encryption */
    int (*put)(struct raw *r, const void *data, size_t len);
    long (*get)(struct raw *r, void *data, size_t len); /* 0: closed in order, <0: cut */
    void (*put_socket)(struct raw *r, const void *data, size_t len); /* below encryption */
    void (*hold)(struct raw *r, bool on); /* collect what is put, then send it at once */
    void (*drop)(struct raw *r);
};

static struct addrinfo *raw_addr(const char *addr, uint16_t port)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *ai = NULL;
    char service[8];

    snprintf(service, sizeof(service), "%u", port);
    return getaddrinfo(addr, service, &hints, &ai) ? NULL : ai;
}

static void raw_limits(int fd)
{
    struct timeval tv = {5, 0}; /* no test waits for ever */
    int on = 1;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static int raw_tcp_dial(struct raw *r, const char *addr, uint16_t port)
{
    struct addrinfo *ai = raw_addr(addr, port);
    int rc = -1;

    memset(r, 0, sizeof(*r));
    r->fd = ai ? socket(ai->ai_family, SOCK_STREAM, 0) : -1;
    if (r->fd >= 0) {
        raw_limits(r->fd);
        rc = connect(r->fd, ai->ai_addr, ai->ai_addrlen);
    }
    if (ai)
        freeaddrinfo(ai);
    return rc;
}

static int raw_tcp_listen(const char *addr, uint16_t *port)
{
    struct addrinfo *ai = raw_addr(addr, 0);
    struct sockaddr_in6 sa;
    socklen_t len = sizeof(sa);
    int fd = ai ? socket(ai->ai_family, SOCK_STREAM, 0) : -1;

    if (fd < 0 || bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, 8) ||
        getsockname(fd, (struct sockaddr *)&sa, &len))
        return -1;
    raw_limits(fd);
    freeaddrinfo(ai);
    *port = ntohs(sa.sin6_port); /* at the same place in sockaddr_in */
    return fd;
}

static int raw_tcp_answer(struct raw *r, int listen_fd)
{
    memset(r, 0, sizeof(*r));
    r->server = true;
    r->fd = accept(listen_fd, NULL, NULL);
    if (r->fd < 0)
        return -1;
    raw_limits(r->fd);
    return 0;
}

static int raw_find_key(gnutls_session_t s, const char *user, gnutls_datum_t *key)
{
    struct raw *r = gnutls_session_get_ptr(s);

    if (strcmp(user, "xenferry"))
        return -1;
    key->data = gnutls_malloc(32);
    memcpy(key->data, r->key, 32);
    key->size = 32;
    return 0;
}

static int raw_tcp_prove(struct raw *r, const uint8_t key[32])
{
    gnutls_datum_t k = {r->key, 32};
    int rc;

    memcpy(r->key, key, 32);
    gnutls_init(&r->tls,
                (r->server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NO_TICKETS | GNUTLS_NO_SIGNAL);
    gnutls_session_set_ptr(r->tls, r);
    gnutls_priority_set_direct(
        r->tls, "NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+ECDHE-PSK:-GROUP-ALL:+GROUP-X25519", NULL);
    if (r->server) {
        gnutls_psk_allocate_server_credentials((gnutls_psk_server_credentials_t *)&r->cred);
        gnutls_psk_set_server_credentials_function(r->cred, raw_find_key);
    } else {
        gnutls_psk_allocate_client_credentials((gnutls_psk_client_credentials_t *)&r->cred);
        gnutls_psk_set_client_credentials(r->cred, "xenferry", &k, GNUTLS_PSK_KEY_RAW);
    }
    gnutls_credentials_set(r->tls, GNUTLS_CRD_PSK, r->cred);
    gnutls_transport_set_int(r->tls, r->fd);
    do
        rc = gnutls_handshake(r->tls);
    while (rc == GNUTLS_E_INTERRUPTED);
    return rc ? -1 : 0;
}

static void raw_tcp_plain(struct raw *r)
{
    gnutls_deinit(r->tls);
    r->tls = NULL;
}

static int raw_tcp_put(struct raw *r, const void *data, size_t len)
{
    const char *p = data;

    while (len) {
        ssize_t n = r->tls ? gnutls_record_send(r->tls, p, len) : send(r->fd, p, len, MSG_NOSIGNAL);

        if (n <= 0)
            return -1;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static long raw_tcp_get(struct raw *r, void *data, size_t len)
{
    return r->tls ? gnutls_record_recv(r->tls, data, len) : recv(r->fd, data, len, 0);
}

static void raw_tcp_put_socket(struct raw *r, const void *data, size_t len)
{
    if (send(r->fd, data, len, MSG_NOSIGNAL) < 0)
        return; /* the other side may have closed already */
}

static void raw_tcp_hold(struct raw *r, bool on)
{
    int v = on;

    setsockopt(r->fd, IPPROTO_TCP, TCP_CORK, &v, sizeof(v));
}

static void raw_tcp_drop(struct raw *r)
{
    if (r->fd >= 0)
        close(r->fd);
    if (r->tls)
        gnutls_deinit(r->tls);
    if (r->cred && r->server)
        gnutls_psk_free_server_credentials(r->cred);
    else if (r->cred)
        gnutls_psk_free_client_credentials(r->cred);
    r->fd = -1;
    r->tls = NULL;
    r->cred = NULL;
}

static const struct raw_ops raw_tcp = {
    .dial = raw_tcp_dial,
    .listen = raw_tcp_listen,
    .answer = raw_tcp_answer,
    .prove = raw_tcp_prove,
    .plain = raw_tcp_plain,
    .put = raw_tcp_put,
    .get = raw_tcp_get,
    .put_socket = raw_tcp_put_socket,
    .hold = raw_tcp_hold,
    .drop = raw_tcp_drop,
};

#endif
