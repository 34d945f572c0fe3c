/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * TLS sessions as docs/wire-protocol.md specifies them, and their I/O on the socket, which counts
 * bytes, never blocks and never raises SIGPIPE. stream.c and the loops around handshake.c decide
 * when to wait, and for how long.
 */
#include "transport/tcp/tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IDENTITY "xenferry"

/* Spelled out from NONE, so that no system-wide policy adds anything; xf_tcp_allowed() detects what
 * one removes. Both ciphers use SHA-256, as an external key does; any group that is left will do.
 */
#define PRIORITY(ciphers)                                                                          \
    "NONE:+VERS-TLS1.3:+MAC-ALL:+ECDHE-PSK:+DHE-PSK:+GROUP-X25519:+GROUP-SECP256R1:"               \
    "+GROUP-SECP384R1:+GROUP-FFDHE3072:+SIGN-ALL:+COMP-NULL:%SERVER_PRECEDENCE:" ciphers
#define AES "+AES-128-GCM"
#define CHACHA "+CHACHA20-POLY1305"

/*
 * Once a channel is open its outgoing records are gathered (xf_tls_flush sends them, many at a
 * time) and incoming ones read ahead. A system call per record of 16 KiB, and two to receive it,
 * cost little natively (2% of the CPU time was measured) and most of the time in a PV dom0 under
 * emulation, where every system call passes through Xen.
 */
struct xf_tls_io {
    size_t out_at, out_len; /* bytes of `out` that are still to be sent */
    size_t in_at, in_len;   /* bytes of `in` that gnutls has not taken */
    uint8_t out[XF_TLS_GATHER + XF_TCP_RECORD + 1024];
    uint8_t in[XF_TLS_GATHER];
};

int xf_tls_open(struct xf_chan *c, struct xf_err *err)
{
    c->io = calloc(1, sizeof(*c->io));
    return c->io ? 0 : xf_fail(err, ENOMEM, "%s: out of memory", c->who);
}

size_t xf_tls_unsent(const struct xf_chan *c)
{
    return c->io ? c->io->out_len : 0;
}

bool xf_tls_has_input(const struct xf_chan *c)
{
    return (c->io && c->io->in_len) || gnutls_record_check_pending(c->tls);
}

int xf_tls_flush(struct xf_chan *c)
{
    struct xf_tls_io *io = c->io;

    while (io && io->out_len) {
        ssize_t n =
            send(c->fd, io->out + io->out_at, io->out_len < c->piece ? io->out_len : c->piece,
                 MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return 1;
        if (n < 0)
            return -1;
        atomic_fetch_add_explicit(&c->tx, (uint64_t)n, memory_order_relaxed);
        io->out_at += (size_t)n;
        io->out_len -= (size_t)n;
    }
    return 0;
}

static ssize_t push_gathered(struct xf_chan *c, const void *data, size_t len)
{
    struct xf_tls_io *io = c->io;

    if (io->out_len == 0)
        io->out_at = 0;
    else if (io->out_at + io->out_len + len > sizeof(io->out)) {
        memmove(io->out, io->out + io->out_at, io->out_len);
        io->out_at = 0;
    }
    if (io->out_len + len > sizeof(io->out)) {
        /* We never send a record with this much unsent; gnutls would, for an alert. */
        gnutls_transport_set_errno(c->tls, c->io_errno = EAGAIN);
        return -1;
    }
    memcpy(io->out + io->out_at + io->out_len, data, len);
    io->out_len += len;
    return (ssize_t)len;
}

static ssize_t push(gnutls_transport_ptr_t ptr, const void *data, size_t len)
{
    struct xf_chan *c = ptr;
    ssize_t n;

    if (c->io)
        return push_gathered(c, data, len);
    n = send(c->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0)
        atomic_fetch_add_explicit(&c->tx, (uint64_t)n, memory_order_relaxed);
    else if (n < 0 && (c->io_errno = errno))
        gnutls_transport_set_errno(c->tls, errno);
    return n;
}

static ssize_t pull(gnutls_transport_ptr_t ptr, void *data, size_t len)
{
    struct xf_chan *c = ptr;
    struct xf_tls_io *io = c->io;
    ssize_t n = 0;

    if (!io || !io->in_len)
        n = recv(c->fd, io ? io->in : data, io ? sizeof(io->in) : len, MSG_DONTWAIT);
    if (n > 0)
        atomic_fetch_add_explicit(&c->rx, (uint64_t)n, memory_order_relaxed);
    if (io && n > 0) {
        io->in_at = 0;
        io->in_len = (size_t)n;
    }
    if (io && io->in_len) {
        n = (ssize_t)(len < io->in_len ? len : io->in_len);
        memcpy(data, io->in + io->in_at, (size_t)n);
        io->in_at += (size_t)n;
        io->in_len -= (size_t)n;
    }
    if (n > 0) {
        c->mid_record = true;
    } else if (n < 0 && (c->io_errno = errno)) {
        gnutls_transport_set_errno(c->tls, errno);
    }
    return n;
}

static int find_key(gnutls_session_t s, const char *user, gnutls_datum_t *key)
{
    struct xf_chan *c = gnutls_session_get_ptr(s);

    if (!c->key || strcmp(user, IDENTITY))
        return -1;
    key->data = gnutls_malloc(XF_KEY_BYTES);
    if (!key->data)
        return -1;
    memcpy(key->data, c->key->bytes, XF_KEY_BYTES);
    key->size = XF_KEY_BYTES;
    return 0;
}

static int setup(struct xf_chan *c, unsigned role, void *cred, const char *priority,
                 struct xf_err *err)
{
    int rc = gnutls_init(&c->tls, role | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS);

    if (rc) {
        c->tls = NULL;
        return xf_fail(err, ENOMEM, "TLS: %s", gnutls_strerror(rc));
    }
    gnutls_session_set_ptr(c->tls, c);
    gnutls_transport_set_ptr(c->tls, c);
    gnutls_transport_set_push_function(c->tls, push);
    gnutls_transport_set_pull_function(c->tls, pull);
    rc = gnutls_priority_set_direct(c->tls, priority, NULL);
    if (!rc)
        rc = gnutls_credentials_set(c->tls, GNUTLS_CRD_PSK, cred);
    if (rc)
        return xf_fail(err, EIO, "TLS cannot be set up: %s", gnutls_strerror(rc));
    return 0;
}

static const char *policy_file(void)
{
    const char *file = gnutls_get_system_config_file();

    return file ? file : "no file";
}

static int forbidden(const char *what, struct xf_err *err)
{
    char host[64] = "this host";

    gethostname(host, sizeof(host) - 1);
    return xf_fail(err, EPROTONOSUPPORT,
                   "the system-wide crypto policy of GnuTLS on %s (%s) does not allow %s, without "
                   "which no move is safe: allow it there",
                   host, policy_file(), what);
}

int xf_tcp_allowed(struct xf_err *err)
{
    const unsigned *list;
    gnutls_priority_t p;
    int rc = gnutls_priority_init(&p, PRIORITY(AES ":" CHACHA), NULL);
    bool groups, kx;

    if (rc == GNUTLS_E_MEMORY_ERROR)
        return xf_fail(err, ENOMEM, "TLS: %s", gnutls_strerror(rc));
    if (rc)
        return forbidden("TLS 1.3 with AES-128-GCM or ChaCha20-Poly1305 and SHA-256", err);
    groups = gnutls_priority_group_list(p, &list) > 0;
    kx = gnutls_priority_kx_list(p, &list) > 0;
    gnutls_priority_deinit(p);
    if (!groups)
        return forbidden("any of the groups X25519, SECP256R1, SECP384R1 and FFDHE3072", err);
    return kx ? 0 : forbidden("a pre-shared key (ECDHE-PSK or DHE-PSK)", err);
}

int xf_tls_nothing_in_common(const struct xf_chan *c, struct xf_err *err)
{
    return xf_fail(err, EPROTONOSUPPORT,
                   "%s: no version, cipher or group of TLS is allowed on both hosts: compare the "
                   "system-wide crypto policies of GnuTLS there and here (%s)",
                   c->who, policy_file());
}

int xf_tls_client(struct xf_chan *c, const struct xf_link_cfg *cfg, struct xf_err *err)
{
    gnutls_datum_t key = {(uint8_t *)cfg->key->bytes, XF_KEY_BYTES};
    int rc = gnutls_psk_allocate_client_credentials(&c->psk_clnt);

    if (rc) {
        c->psk_clnt = NULL;
        return xf_fail(err, ENOMEM, "TLS: %s", gnutls_strerror(rc));
    }
    rc = gnutls_psk_set_client_credentials(c->psk_clnt, IDENTITY, &key, GNUTLS_PSK_KEY_RAW);
    if (rc)
        return xf_fail(err, EIO, "TLS does not accept the one-time key: %s", gnutls_strerror(rc));
    return setup(c, GNUTLS_CLIENT, c->psk_clnt, PRIORITY(AES ":" CHACHA), err);
}

int xf_tls_server_cred(gnutls_psk_server_credentials_t *out, struct xf_err *err)
{
    int rc = gnutls_psk_allocate_server_credentials(out);

    if (rc)
        return xf_fail(err, ENOMEM, "TLS: %s", gnutls_strerror(rc));
    gnutls_psk_set_server_credentials_function(*out, find_key);
    return 0;
}

int xf_tls_server(struct xf_chan *c, const struct xf_link_cfg *cfg,
                  gnutls_psk_server_credentials_t cred, bool chacha, struct xf_err *err)
{
    c->key = cfg->key;
    return setup(c, GNUTLS_SERVER, cred,
                 chacha ? PRIORITY(CHACHA ":" AES) : PRIORITY(AES ":" CHACHA), err);
}

void xf_tls_drop(struct xf_chan *c)
{
    if (c->packet)
        gnutls_packet_deinit(c->packet);
    if (c->tls)
        gnutls_deinit(c->tls);
    if (c->psk_clnt)
        gnutls_psk_free_client_credentials(c->psk_clnt);
    free(c->io);
    c->io = NULL;
    c->packet = NULL;
    c->tls = NULL;
    c->psk_clnt = NULL;
    c->key = NULL;
}

int xf_tls_error(struct xf_chan *c, int rc, struct xf_err *err)
{
    switch (rc) {
    case GNUTLS_E_PUSH_ERROR:
    case GNUTLS_E_PULL_ERROR:
        return xf_fail_link(err, c->io_errno == EPIPE ? ECONNRESET : c->io_errno, "%s: %s", c->who,
                            strerror(c->io_errno));
    case GNUTLS_E_PREMATURE_TERMINATION:
        return xf_fail_link(err, ECONNRESET, "%s: the connection was cut", c->who);
    case GNUTLS_E_FATAL_ALERT_RECEIVED:
        return xf_fail(err, EPROTO, "%s: the peer ended TLS with alert '%s'", c->who,
                       gnutls_alert_get_name(gnutls_alert_get(c->tls)));
    default:
        return xf_fail(err, EPROTO, "%s: TLS: %s", c->who, gnutls_strerror(rc));
    }
}
