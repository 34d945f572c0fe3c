/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the TCP transport share; private to them. What each file does:
 *   cipher.c     which cipher is fastest on this machine
 *   tls.c        TLS sessions and credentials; their bytes in and out of the socket
 *   handshake.c  proof of the key and channel hello, one step at a time, both roles
 *   connect.c    source: resolve, connect        listen.c  sink: listen, accept
 *   sndbuf.c     how many bytes the network may hold
 *   stream.c     bytes on an open channel        chan.c    life of a channel; the ops
 */
#ifndef XF_TCP_H
#define XF_TCP_H

#include <gnutls/gnutls.h>
#include <netdb.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "transport/frame.h"
#include "transport/iter.h"
#include "transport/message.h"
#include "transport/transport.h"

#define XF_TCP_AHEAD 16384u   /* plain: read this far ahead of a message's head */
#define XF_TCP_RECORD 16384u  /* largest TLS record */
#define XF_TLS_GATHER 131072u /* TLS: about this many bytes per system call */
/* Plain: with MANY or more bytes of a payload to come a reader sleeps until MANY have arrived, with
 * FEW or more until all have. */
#define XF_TCP_FEW 65536u
#define XF_TCP_MANY 524288u
#define XF_TCP_WINDOW 512 /* iovecs given to one system call, < IOV_MAX */

/* Belongs to the thread that uses the channel, except for members marked "any thread". */
struct xf_chan {
    int fd;              /* the socket, non-blocking */
    int wake;            /* eventfd, readable once aborted; written by any thread */
    atomic_bool aborted; /* any thread */
    int stall_ms;
    struct xf_chan_id which;
    char who[128]; /* "bulk channel 1 to 192.0.2.1 port 8002", for errors */

    gnutls_session_t tls;                     /* NULL: plain */
    gnutls_psk_client_credentials_t psk_clnt; /* source */
    const struct xf_key *key;                 /* sink: only during the handshake */
    int io_errno;                             /* of the last push or pull that failed */
    struct xf_tls_io *io; /* TLS: records being sent or received; NULL until open */
    bool mid_record;      /* pull: inside a TLS record */

    struct xf_messages messages;
    const uint8_t *ahead; /* bytes received but not yet taken */
    size_t ahead_len;
    gnutls_packet_t packet;    /* TLS: where `ahead` points into */
    uint8_t buf[XF_TCP_AHEAD]; /* plain: where `ahead` points into; TLS: a record to be sent */
    struct iovec win[XF_TCP_WINDOW];
    size_t held;  /* bytes that the socket may hold; 0: no limit */
    size_t piece; /* most bytes given to one system call */
    int lowat;    /* bytes that make the socket readable */

    atomic_uint_fast64_t tx, rx; /* bytes on the wire; read by any thread */
};

/* cipher.c: true if ChaCha20-Poly1305 is faster here than AES-128-GCM. Takes about 1 ms. */
bool xf_tcp_prefer_chacha(void);

/* tls.c */
int xf_tls_client(struct xf_chan *c, const struct xf_link_cfg *cfg, struct xf_err *err);
int xf_tls_server(struct xf_chan *c, const struct xf_link_cfg *cfg,
                  gnutls_psk_server_credentials_t cred, bool chacha, struct xf_err *err);
int xf_tls_server_cred(gnutls_psk_server_credentials_t *out, struct xf_err *err);
/* The handshake is over and TLS stays on: from now on records are gathered and read ahead. */
int xf_tls_open(struct xf_chan *c, struct xf_err *err);
/* Send the gathered records. 0: all sent; 1: the socket is full; -1: failed, see errno. */
int xf_tls_flush(struct xf_chan *c);
size_t xf_tls_unsent(const struct xf_chan *c);
bool xf_tls_has_input(const struct xf_chan *c);
/* Fill err for a peer with which TLS found nothing in common. Returns -1. */
int xf_tls_nothing_in_common(const struct xf_chan *c, struct xf_err *err);
void xf_tls_drop(struct xf_chan *c); /* leave TLS without telling the peer */
int xf_tls_error(struct xf_chan *c, int rc, struct xf_err *err);

/* handshake.c */
struct xf_hs {
    struct xf_chan *c;
    bool server, encrypt;
    int stage;
    uint32_t *taken; /* sink: channels connected */
    struct xf_chan_hello ours, peer;
    enum xf_chan_hello_status verdict;
    uint8_t bytes[XF_HELLO_BYTES];
};

void xf_hs_init(struct xf_hs *hs, struct xf_chan *c, const struct xf_link_cfg *cfg, bool server,
                uint32_t *taken);
/* 1: done, the channel is open; 0: call again when the socket is ready for *events; -1: failed. */
int xf_hs_step(struct xf_hs *hs, short *events, struct xf_err *err);
/* Give up before it is done, or after it failed: frees the channel. */
void xf_hs_cancel(struct xf_hs *hs);

/* stream.c */
/* 0: ready, 1: time is over, -1: aborted or failed. timeout_ms < 0: for ever. */
int xf_tcp_wait(struct xf_chan *c, short events, int timeout_ms, struct xf_err *err);
int xf_stream_send(struct xf_chan *c, struct xf_iter *head, struct xf_iter *body,
                   struct xf_err *err);
/* Make sure that `ahead` is not empty: 0, or XF_AGAIN after timeout_ms without a byte. */
int xf_stream_fill(struct xf_chan *c, int timeout_ms, struct xf_err *err);
/* Fill `to` to its end; a peer that is silent for stall_ms is dead. */
int xf_stream_recv(struct xf_chan *c, struct xf_iter *to, struct xf_err *err);

/* sndbuf.c: the hold op of transport.h */
void xf_tcp_hold(struct xf_chan *c, double rate, size_t more);

/* chan.c */
/* Takes ownership of the socket, even on failure. */
struct xf_chan *xf_chan_new(const struct xf_link_cfg *cfg, int fd, const struct sockaddr *peer,
                            socklen_t len, struct xf_err *err);
void xf_chan_free(struct xf_chan *c);

/* connect.c, listen.c */
int xf_tcp_connect(const struct xf_link_cfg *cfg, const char *host, uint16_t port, const char *src,
                   struct xf_chan_id id, struct xf_chan **out, struct xf_err *err);
int xf_tcp_listen(const struct xf_link_cfg *cfg, const char *addr, uint16_t port,
                  struct xf_listener **out, uint16_t *port_out, struct xf_err *err);
int xf_tcp_accept(struct xf_listener *l, int timeout_ms, struct xf_chan **out,
                  struct xf_chan_id *id, struct xf_err *err);
void xf_tcp_abort_accept(struct xf_listener *l);
void xf_tcp_unlisten(struct xf_listener *l);

#endif
