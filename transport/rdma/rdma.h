/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the RDMA transport share; private to them (docs/wire-protocol.md, "RDMA").
 * What each file does:
 *   cm.c         rdma_cm with deadlines            probe.c   what this machine can do
 *   buffer.c     rings: geometry, memory, registration
 *   qp.c         protection domain, completion queue, queue pair; posting work requests
 *   wire.c       handshake messages, ring descriptors, immediates: bytes only
 *   auth.c       keys and proofs from the one-time key and the nonces
 *   handshake.c  proof of the key, hello, exchange of rings, one step at a time, both roles
 *   connect.c    source: resolve, connect          listen.c  sink: listen, accept
 *   flow.c       completions, credits, waiting
 *   seal.c       AEAD of fragments
 *   stream.c     bytes on an open channel          chan.c    life of a channel; the ops
 *
 * A channel is one RC queue pair with one completion queue. Its bytes travel in fragments; each
 * fills one slot of the receiver's ring. Bulk channels WRITE WITH IMMEDIATE into the ring; small
 * channels (control, page requests) SEND into posted slots, because a fragment there must not cost
 * an exchange of addresses, and their memory is exposed to nobody.
 */
#ifndef XF_RDMA_H
#define XF_RDMA_H

#include <gnutls/crypto.h>
#include <rdma/rdma_cma.h>
#include <stdatomic.h>

#include "transport/frame.h"
#include "transport/iter.h"
#include "transport/message.h"
#include "transport/rdma/cm.h"
#include "transport/rdma/wire.h"
#include "transport/transport.h"

/* Fragments without data (credits, the good-bye) that may be in flight at once, beyond the credits:
 * a receiver returns credits in eighths of its ring. */
#define XF_RDMA_SPARE 16u
#define XF_RDMA_CREDIT_SHARE 8u
#define XF_RDMA_SEND_DEPTH 128u /* work requests of one send queue, if the device has them */
#define XF_RDMA_BATCH 16        /* completions taken at once */
#define XF_RDMA_HS_RECVS 2u     /* handshake messages each side receives */
#define XF_RDMA_BUFFER_MIN (256u << 10)
#define XF_RDMA_BUFFER_MAX (1u << 30)

/* Adjacent slots in memory that is registered once. */
struct xf_rdma_ring {
    uint8_t *base; /* NULL: none yet */
    size_t bytes;  /* as mapped */
    uint32_t slot, slots;
    struct ibv_mr *mr;
};

struct xf_rdma_seal {
    gnutls_aead_cipher_hd_t cipher; /* NULL: the channel is not sealed */
    uint64_t count;                 /* fragments so far: the nonce */
};

struct xf_rdma_fragment {
    uint32_t slot, len;
};

/* Belongs to the thread that uses the channel, except for members marked "any thread". */
struct xf_chan {
    struct rdma_event_channel *cm; /* NULL while the listener's is used */
    struct rdma_cm_id *id;
    struct ibv_pd *pd;
    struct ibv_comp_channel *comp;
    struct ibv_cq *cq;
    int wake;            /* eventfd, readable once aborted; written by any thread */
    int epoll;           /* for pollfd(): completions and events of rdma_cm */
    atomic_bool aborted; /* any thread */
    int stall_ms;
    unsigned poll_us;
    bool source; /* this side is the source */
    bool armed;  /* the next completion raises an event */
    bool connected;
    bool small; /* SEND into posted slots; else WRITE WITH IMMEDIATE */
    struct xf_chan_id which;
    char who[128]; /* "bulk channel 1 to 192.0.2.1 port 8002", for errors */

    /* how it ends */
    bool bye;            /* the peer has closed the channel in order */
    bool cut;            /* rdma_cm reports that the connection is gone */
    bool flushed;        /* work requests complete undone */
    struct xf_err fault; /* a work request failed, or the peer broke the protocol */

    /* the handshake's messages; registered */
    uint8_t *hs_mem;
    struct ibv_mr *hs_mr;

    /* sending */
    struct xf_rdma_ring tx;
    struct xf_rdma_peer peer;
    uint32_t credits;         /* free slots of the peer's ring */
    uint32_t depth;           /* of the send queue */
    uint32_t inline_max;      /* bytes */
    uint32_t posted, done;    /* work requests; they wrap */
    uint32_t data, data_done; /* those with data; they wrap */
    uint32_t unsignalled;     /* since the last signalled one */
    int64_t probe_ms;         /* when the last probe went out */
    uint32_t probe;           /* the value of `posted` at that time */

    /* receiving */
    struct xf_rdma_ring rx;
    uint32_t window; /* slots the peer may fill */
    uint32_t recv_depth;
    uint32_t arrived;               /* fragments with data so far; wraps */
    uint32_t waiting;               /* of these, not taken yet */
    uint32_t owed;                  /* slots freed and not yet returned as credits */
    uint32_t reposts;               /* bulk: receive work requests to be posted again */
    struct xf_rdma_fragment *queue; /* [window] */
    struct xf_messages messages;
    const uint8_t *ahead; /* bytes received but not yet taken */
    size_t ahead_len;
    int64_t ahead_slot; /* the slot they lie in; -1: in `open` */

    /* sealing */
    struct xf_rdma_seal seal, unseal;
    uint8_t *open;     /* a fragment decrypted; one slot */
    struct iovec *win; /* [XF_IOV_MAX + 2] */

    atomic_uint_fast64_t tx_bytes, rx_bytes, work_requests, completions; /* read by any thread */
};

/* Only bulk channels write into the peer's memory; the others carry single pages and requests. */
static inline bool xf_rdma_small(struct xf_chan_id id)
{
    return id.role != XF_ROLE_BULK;
}

/* buffer.c. What a side offers for a channel, given its configuration and the device. */
struct xf_rdma_geometry {
    uint32_t rx_slot, rx_slots; /* all slots of the receive ring */
    uint32_t window;            /* those the peer may fill */
    uint32_t tx_bytes;          /* for the send ring */
};
int xf_rdma_geometry(struct xf_rdma_geometry *g, const struct xf_link_cfg *cfg, bool source,
                     bool small, const struct ibv_device_attr *attr, struct xf_err *err);
/* access: the verbs' access flags. */
int xf_rdma_ring_open(struct xf_rdma_ring *r, struct ibv_pd *pd, uint32_t slot, uint32_t slots,
                      int access, struct xf_err *err);
void xf_rdma_ring_close(struct xf_rdma_ring *r);
static inline uint8_t *xf_rdma_slot(const struct xf_rdma_ring *r, uint32_t i)
{
    return r->base + (size_t)i * r->slot;
}

/* qp.c */
/* Make what a queue pair needs, for an id that has a device; posts the handshake's receives. */
int xf_rdma_qp_open(struct xf_chan *c, const struct xf_link_cfg *cfg, struct xf_err *err);
/* Rings for an authenticated peer: the receive ring, its work requests posted... */
int xf_rdma_rx_open(struct xf_chan *c, const struct xf_link_cfg *cfg, struct xf_err *err);
/* ...and, once c->peer is known, the send ring. */
int xf_rdma_tx_open(struct xf_chan *c, const struct xf_link_cfg *cfg, struct xf_err *err);
/* The buffer for message n (0..3) of the handshake: to send, and received. */
uint8_t *xf_rdma_hs_out(struct xf_chan *c, unsigned n);
uint8_t *xf_rdma_hs_in(struct xf_chan *c, unsigned n);
int xf_rdma_post_hs(struct xf_chan *c, unsigned n, size_t len, struct xf_err *err);
/* Post len bytes of the next slot of the send ring. There is a credit and room. */
int xf_rdma_post_data(struct xf_chan *c, uint32_t len, struct xf_err *err);
/* Post a fragment without data, which also returns the credits owed. `flags`: XF_IMM_... */
int xf_rdma_post_note(struct xf_chan *c, uint32_t flags, struct xf_err *err);
/* Post an empty WRITE, which a live peer's device acknowledges. */
int xf_rdma_post_probe(struct xf_chan *c, struct xf_err *err);
int xf_rdma_repost(struct xf_chan *c, struct xf_err *err); /* bulk: c->reposts */
int xf_rdma_repost_slot(struct xf_chan *c, uint32_t slot, struct xf_err *err); /* small */
/* Free the channel's verbs and rdma_cm objects. */
void xf_rdma_qp_close(struct xf_chan *c);

/* auth.c */
struct xf_rdma_keys {
    uint8_t proof_source[32], proof_sink[32]; /* HMAC-SHA256 */
    uint8_t seal_source[32], seal_sink[32];   /* AES-256-GCM */
};
int xf_rdma_nonce(uint8_t out[XF_NONCE_BYTES], struct xf_err *err);
int xf_rdma_keys(struct xf_rdma_keys *out, const uint8_t key[XF_KEY_BYTES],
                 const uint8_t source[XF_NONCE_BYTES], const uint8_t sink[XF_NONCE_BYTES],
                 struct xf_err *err);
int xf_rdma_mac(uint8_t out[XF_MAC_BYTES], const uint8_t key[32], const void *data, size_t len,
                struct xf_err *err);
bool xf_rdma_mac_equal(const uint8_t a[XF_MAC_BYTES], const uint8_t b[XF_MAC_BYTES]);

/* handshake.c */
struct xf_rdma_hs {
    struct xf_chan *c;
    const struct xf_link_cfg *cfg;
    bool server;
    bool authentic; /* the peer has proved that it knows the key */
    int stage;
    unsigned received; /* messages */
    uint32_t *taken;   /* sink: channels connected */
    struct xf_chan_hello ours, peer;
    enum xf_chan_hello_status verdict;
    struct xf_rdma_keys keys;
    uint8_t script[XF_HS_SCRIPT]; /* all messages so far; the proofs cover them */
    size_t script_len;
};
void xf_rdma_hs_init(struct xf_rdma_hs *hs, struct xf_chan *c, const struct xf_link_cfg *cfg,
                     bool server, uint32_t *taken);
/* Source: send the first message, once connected. */
int xf_rdma_hs_begin(struct xf_rdma_hs *hs, struct xf_err *err);
/* 1: done, the channel is open; 0: call again after the next completion; -1: failed. */
int xf_rdma_hs_step(struct xf_rdma_hs *hs, struct xf_err *err);
/* Give up before it is done, or after it failed: frees the channel. */
void xf_rdma_hs_cancel(struct xf_rdma_hs *hs);

/* seal.c. A sealed fragment is XF_TAG_BYTES longer than its plain text. */
int xf_rdma_seal_open(struct xf_rdma_seal *s, const uint8_t key[32], struct xf_err *err);
void xf_rdma_seal_close(struct xf_rdma_seal *s);
/* Seal the next n bytes of head and body into out. */
int xf_rdma_seal_gather(struct xf_chan *c, struct xf_iter *head, struct xf_iter *body, size_t n,
                        uint8_t *out, struct xf_err *err);
/* Copy a sealed fragment of n bytes in all to where `to` stands, which has room for all of
 * its plain text, and decrypt it there. */
int xf_rdma_seal_scatter(struct xf_chan *c, const uint8_t *in, size_t n, struct xf_iter *to,
                         struct xf_err *err);

/* flow.c */
/* Take all completions. A broken connection or a protocol violation is left in c->fault. */
void xf_rdma_progress(struct xf_chan *c);
/* Take rdma_cm's events, once the channel has an event channel of its own. */
void xf_rdma_cm_events(struct xf_chan *c);
/* Consume the event that was raised, so that readable means a new one. */
void xf_rdma_take_events(struct xf_chan *c);
int xf_rdma_arm(struct xf_chan *c, struct xf_err *err);
bool xf_rdma_ended(const struct xf_chan *c);
int xf_rdma_end(struct xf_chan *c, struct xf_err *err); /* fills err with the reason. Returns -1 */
int xf_rdma_check_abort(struct xf_chan *c, struct xf_err *err);
/* Wait for cond. 0: true; 1: timeout_ms (-1: no limit) are over; -1: aborted, or channel ended. */
int xf_rdma_wait(struct xf_chan *c, bool (*cond)(const struct xf_chan *c), int timeout_ms,
                 struct xf_err *err);
/* A slot has been emptied: return it together with others once there are enough. */
int xf_rdma_release(struct xf_chan *c, uint32_t slot, struct xf_err *err);

/* stream.c: as in the TCP transport */
int xf_rdma_stream_send(struct xf_chan *c, struct xf_iter *head, struct xf_iter *body,
                        struct xf_err *err);
int xf_rdma_stream_fill(struct xf_chan *c, int timeout_ms, struct xf_err *err);
int xf_rdma_stream_recv(struct xf_chan *c, struct xf_iter *to, struct xf_err *err);

/* chan.c */
int xf_rdma_check(const struct xf_link_cfg *cfg, struct xf_err *err);
/* Takes ownership of the id, even on failure. */
struct xf_chan *xf_rdma_chan_new(const struct xf_link_cfg *cfg, struct rdma_cm_id *id, bool source,
                                 struct xf_err *err);
/* The handshake is over: set up the descriptors for waiting. */
int xf_rdma_chan_open(struct xf_chan *c, struct xf_err *err);
void xf_rdma_chan_free(struct xf_chan *c);

/* connect.c, listen.c */
void xf_rdma_conn_param(struct rdma_conn_param *p, uint8_t greeting[XF_GREETING_BYTES]);
void xf_rdma_ack_timeout(struct rdma_cm_id *id, int stall_ms);
int xf_rdma_connect(const struct xf_link_cfg *cfg, const char *host, uint16_t port, const char *src,
                    struct xf_chan_id id, struct xf_chan **out, struct xf_err *err);
int xf_rdma_listen(const struct xf_link_cfg *cfg, const char *addr, uint16_t port,
                   struct xf_listener **out, uint16_t *port_out, struct xf_err *err);
int xf_rdma_accept(struct xf_listener *l, int timeout_ms, struct xf_chan **out,
                   struct xf_chan_id *id, struct xf_err *err);
void xf_rdma_abort_accept(struct xf_listener *l);
void xf_rdma_unlisten(struct xf_listener *l);

#endif
