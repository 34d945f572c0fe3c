/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The contract between the engine and a transport (tcp/, rdma/).
 *
 * A move uses one control channel, N bulk channels and, if pages may follow once the guest runs,
 * one urgent channel for the pages it waits for. A channel's role says what it is for. A channel is
 * a reliable, ordered, full-duplex stream of messages between two authenticated peers. A message is
 * a header, a small "meta" part that is copied (at most XF_META_MAX bytes) and a "payload" that is
 * not: it is sent straight from, and received straight into, memory that the caller names.
 *
 * Threads: one channel belongs to one thread at a time. abort() and stats() alone may be called
 * from any thread, as long as close() has not begun. Different channels are independent. Two peers
 * that both send more than the network holds, and do not receive, block each other until stall_ms:
 * the side that answers must receive first.
 *
 * Errors: as in err.h. Every error of a channel is final: after it the channel can only be aborted
 * and closed. The one exception: when timeout_ms is over and no byte of a message has been read,
 * recv returns XF_AGAIN.
 */
#ifndef XF_TRANSPORT_H
#define XF_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "transport/key.h"
#include "transport/tick.h"

#define XF_META_MAX 65536u        /* largest meta part, bytes */
#define XF_PAYLOAD_MAX (4u << 20) /* largest payload, bytes (1024 pages) */
#define XF_CHANNELS_MAX 16u       /* bulk channels of one move */
#define XF_DISK_CHANNELS_MAX 14u  /* channels for disks of one move */
#define XF_RDMA_POLL_US 20        /* default of rdma_poll_us */
/* The slowest rate of a message that has begun to arrive: 4 kB/s, on one channel. */
#define XF_BYTES_PER_MS 4

struct xf_chan;
struct xf_listener;

/* What a channel is for. The numbers are those on the wire from protocol version 2 on. */
enum xf_role {
    XF_ROLE_CONTROL = 0, /* one; it begins a link */
    XF_ROLE_BULK = 1,    /* xf_link_cfg.channels of them: pages, in bulk */
    XF_ROLE_URGENT = 2,  /* at most one: pages that somebody waits for */
    XF_ROLE_DISK = 3,    /* xf_link_cfg.disk_channels of them, over TCP. No part of a link: they
                          * outlive it, and are not replaced */
    XF_ROLES
};

/* One channel of a link. */
struct xf_chan_id {
    enum xf_role role; /* if received from a peer: any number */
    unsigned nr;       /* among the channels of its role, from 0 */
};
#define XF_CONTROL ((struct xf_chan_id){.role = XF_ROLE_CONTROL})
#define XF_BULK(n) ((struct xf_chan_id){.role = XF_ROLE_BULK, .nr = (n)})
#define XF_DISK(n) ((struct xf_chan_id){.role = XF_ROLE_DISK, .nr = (n)})
#define XF_URGENT ((struct xf_chan_id){.role = XF_ROLE_URGENT})

static inline bool xf_chan_id_same(struct xf_chan_id a, struct xf_chan_id b)
{
    return a.role == b.role && a.nr == b.nr;
}

/* Its name for users: "control channel", "bulk channel 1" (counted from 1). Returns out. */
#define XF_CHAN_NAME 48
char *xf_chan_name(char out[XF_CHAN_NAME], struct xf_chan_id id);

/* What both sides agree on before any connection is made (bootstrap pipe). */
struct xf_link_cfg {
    unsigned version;         /* of the wire protocol, XF_WIRE_OLDEST..XF_WIRE_VERSION (wire.h);
                                 0: the newest */
    const struct xf_key *key; /* from the bootstrap; its owner outlives listeners and links */
    unsigned channels;        /* bulk channels, 1..XF_CHANNELS_MAX */
    unsigned disk_channels;   /* 0..XF_DISK_CHANNELS_MAX; not over version 1 of the protocol */
    bool encrypt;             /* payload and meta encrypted after the handshake */
    int timeout_ms;           /* connect + handshake of one channel */
    int stall_ms; /* a peer that for this long is silent while we wait for it, or acknowledges
                     nothing we sent, is dead; 0 = never. So is one that keeps us waiting for the
                     rest of one message for longer than this plus the time that XF_BYTES_PER_MS
                     allows */
    uint32_t rdma_buffer;  /* RDMA: bytes of one side's ring of a bulk channel; 0 = chosen
                              from free memory. The two sides need not agree */
    unsigned rdma_poll_us; /* RDMA: poll for completions this long, in a busy loop, before sleeping;
                              0 = sleep at once */
};

/* A message's envelope. `type` and `flags` mean nothing to the transport. */
struct xf_msg {
    uint16_t type;
    uint16_t flags;
    uint32_t meta_len;    /* <= XF_META_MAX, checked on receipt */
    uint32_t payload_len; /* <= XF_PAYLOAD_MAX, checked on receipt */
};

struct xf_chan_stats {
    uint64_t tx_bytes; /* on the wire as the transport sees it, including its own overhead */
    uint64_t rx_bytes;
    uint64_t work_requests; /* RDMA: work requests posted for sending, and completions taken, */
    uint64_t completions;   /* of sending and receiving; other transports leave them 0 */
};

struct xf_transport_ops {
    const char *name;

    /*
     * Sink: listen on `addr` (numeric IPv4/IPv6, or NULL for every address) and
     * `port` (0 = any). *port_out is the bound port, in host order.
     */
    int (*listen)(const struct xf_link_cfg *cfg, const char *addr, uint16_t port,
                  struct xf_listener **out, uint16_t *port_out, struct xf_err *err);

    /*
     * Sink: the next connection that has proved that it knows the key; others are dropped silently
     * (bounded: at most a few unfinished handshakes at once, each at most cfg->timeout_ms) and do
     * not end the wait. *id is its channel: each bulk channel and the urgent one at most once after
     * each control channel, which begins a new link. XF_AGAIN if no channel arrived within
     * timeout_ms. A peer that knows the key but does not fit (version, channels, encrypt, role and
     * number: EPROTO; a channel that is connected already: EEXIST) is refused and reported; the
     * listener remains usable.
     */
    int (*accept)(struct xf_listener *l, int timeout_ms, struct xf_chan **out,
                  struct xf_chan_id *id, struct xf_err *err);
    /* Wake a thread blocked in accept, which then fails with ECANCELED. Any thread. */
    void (*abort_accept)(struct xf_listener *l);
    /* Stop listening; accepted channels live on. NULL is allowed. */
    void (*unlisten)(struct xf_listener *l);

    /*
     * Source: connect channel `id` to host:port (`host` numeric or a name, `src` the local address
     * to use or NULL) and prove knowledge of the key, within cfg->timeout_ms. Errors that tell who
     * listens there: ECONNREFUSED: nobody; EACCES, EPROTO: somebody who does not know the key;
     * ETIME: somebody who has sent nothing in this time; ECONNRESET: somebody who has hung up; any
     * other: unknown.
     */
    int (*connect)(const struct xf_link_cfg *cfg, const char *host, uint16_t port, const char *src,
                   struct xf_chan_id id, struct xf_chan **out, struct xf_err *err);

    /*
     * Send one message. Blocks until the memory named may be changed again (copied or sent, not
     * necessarily arrived). The payload may change while it is being sent (a running guest's
     * memory): the peer then gets a mix of old and new, never an error. iov describes
     * m->payload_len bytes altogether; niov <= 2048.
     */
    int (*send)(struct xf_chan *c, const struct xf_msg *m, const void *meta,
                const struct iovec *iov, int niov, struct xf_err *err);

    /*
     * Receive the next message's header and meta part (copied into meta[XF_META_MAX]). If
     * m->payload_len is not 0, recv_payload must be called until all of it has been received,
     * before the next recv. timeout_ms: -1 waits for ever (stall_ms does not apply to waiting for a
     * message to begin), 0 does not wait. XF_AGAIN: no message has arrived, the channel remains
     * usable. An orderly close by the peer is an error with num = ECONNRESET.
     */
    int (*recv)(struct xf_chan *c, struct xf_msg *m, void *meta, int timeout_ms,
                struct xf_err *err);

    /* Receive the next bytes of the payload, exactly filling iov (sum <= what is left). */
    int (*recv_payload)(struct xf_chan *c, const struct iovec *iov, int niov, struct xf_err *err);

    /* A descriptor that polls readable when recv may have something; *ready is set when recv
     * has something already (buffered), whatever poll says. Valid until close. */
    int (*pollfd)(struct xf_chan *c, bool *ready);

    /* Wake a thread blocked in this channel, which then fails with ECANCELED. Any thread. */
    void (*abort)(struct xf_chan *c);

    /* From now on the channel's thread calls tick about ten times a second while it waits for the
     * rest of a message, or for room to send one; -1 from tick fails the call, with tick's error.
     * For channels that no other thread would abort. tick must not use the channel. tick.call NULL:
     * stop. */
    void (*watch)(struct xf_chan *c, struct xf_tick tick);

    void (*stats)(const struct xf_chan *c, struct xf_chan_stats *out);

    /* Bytes sent that have not reached the peer's machine yet, as far as is known here; its program
     * may not have taken all of the others. UINT64_MAX: unknown. The channel's thread. NULL: this
     * transport cannot tell. */
    uint64_t (*in_network)(const struct xf_chan *c);

    /* From now on keep no more in the network than the path itself holds at `rate` (bytes per
     * second) plus about `more` bytes; send waits. For a channel that is not urgent and shares the
     * path with one that is. May be called again. The channel's thread. NULL: this transport
     * cannot. */
    void (*hold)(struct xf_chan *c, double rate, size_t more);

    /* Free everything. NULL is allowed. No thread may be inside the channel. */
    void (*close)(struct xf_chan *c);
};

extern const struct xf_transport_ops xf_tcp_ops;
/* Does this machine allow the TCP connections that are required (TLS 1.3 with the one-time key)?
 * listen and connect of TCP check this first. EPROTONOSUPPORT: a system-wide policy, named in the
 * error, forbids them. Any thread. */
int xf_tcp_allowed(struct xf_err *err);
extern const struct xf_transport_ops xf_rdma_ops;

/* The addresses a peer may reach this machine by: numeric strings, global scope first,
 * loopback and link-local left out. Returns the count (at most max). */
#define XF_ADDR_LEN 64
int xf_local_addresses(char out[][XF_ADDR_LEN], int max);
/* The same for one network interface. */
int xf_interface_addresses(const char *name, char out[][XF_ADDR_LEN], int max);

#endif
