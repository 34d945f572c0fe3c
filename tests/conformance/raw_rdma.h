/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An RDMA peer that misbehaves: it speaks the protocol from the document
 * (docs/wire-protocol.md, "RDMA"), with none of the transport's code, and stops or lies
 * wherever a test wants. Both roles. Every wait has an end.
 */
#ifndef XF_TEST_RAW_RDMA_H
#define XF_TEST_RAW_RDMA_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <netdb.h>
#include <poll.h>
#include <rdma/rdma_cma.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RR_MEM (1u << 20)
#define RR_RECVS 64
#define RR_RECV_BYTES 256u
#define RR_WAIT_MS 5000

struct rr {
    struct rdma_event_channel *ch, *listen_ch;
    struct rdma_cm_id *id, *listen_id;
    struct ibv_pd *pd;
    struct ibv_cq *cq;
    struct ibv_mr *mr;
    uint8_t *mem;        /* RR_MEM: sent from its start; the peer may write to its second half */
    uint8_t script[320]; /* the handshake's bytes so far */
    size_t script_len;
    uint8_t proof_source[32], proof_sink[32], seal_source[32], seal_sink[32];
    uint64_t ring; /* the peer's */
    uint32_t rkey, slot, slots;
    uint32_t sent;                /* fragments */
    struct ibv_wc kept[RR_RECVS]; /* received while waiting for something else */
    unsigned nr_kept, taken;
    struct ibv_wc last; /* the message received last */
    bool told; /* rdma_cm has reported, while waiting for a message, that the peer is gone */
};

/* How to differ from a good peer. */
struct rr_lie {
    int stop_after;      /* messages sent; 0: send all */
    int flip;            /* 1 + offset into the proof message (source), welcome message (sink) */
    const uint8_t *ring; /* a ring descriptor instead of our own */
    bool mirror;         /* send the sink's own proof back */
    const char *greeting;
    size_t cut; /* bytes left out at the end of the first message */
};

static inline void rr_put(uint8_t *p, uint64_t v, int n)
{
    while (n--) {
        *p++ = (uint8_t)v;
        v >>= 8;
    }
}

static inline uint64_t rr_get(const uint8_t *p, int n)
{
    uint64_t v = 0;

    while (n--)
        v = v << 8 | p[n];
    return v;
}

static inline int64_t rr_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

/* Is the next event of rdma_cm this one? */
static inline bool rr_event(struct rdma_event_channel *ch, enum rdma_cm_event_type want,
                            struct rdma_cm_id **id)
{
    struct pollfd p = {.fd = ch->fd, .events = POLLIN};
    struct rdma_cm_event *ev;
    bool ok;

    if (poll(&p, 1, RR_WAIT_MS) != 1 || rdma_get_cm_event(ch, &ev))
        return false;
    ok = ev->event == want;
    if (id)
        *id = ev->id;
    rdma_ack_cm_event(ev);
    return ok;
}

static inline void rr_post_recv(struct rr *r, uint64_t n)
{
    struct ibv_sge sge = {(uintptr_t)(r->mem + RR_MEM / 4 + n * RR_RECV_BYTES), RR_RECV_BYTES,
                          r->mr->lkey};
    struct ibv_recv_wr wr = {.wr_id = n, .sg_list = &sge, .num_sge = 1}, *bad;

    ibv_post_recv(r->id->qp, &wr, &bad);
}

static inline bool rr_qp(struct rr *r)
{
    struct ibv_qp_init_attr init = {
        .qp_type = IBV_QPT_RC,
        .cap = {.max_send_wr = 64, .max_recv_wr = RR_RECVS, .max_send_sge = 1, .max_recv_sge = 1}};
    uint64_t n;

    r->pd = ibv_alloc_pd(r->id->verbs);
    r->cq = r->pd ? ibv_create_cq(r->id->verbs, 256, NULL, NULL, 0) : NULL;
    init.send_cq = init.recv_cq = r->cq;
    r->mem = calloc(1, RR_MEM);
    r->mr =
        r->cq ? ibv_reg_mr(r->pd, r->mem, RR_MEM, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)
              : NULL;
    if (!r->mr || rdma_create_qp(r->id, r->pd, &init))
        return false;
    for (n = 0; n < RR_RECVS; n++)
        rr_post_recv(r, n);
    return true;
}

static inline struct addrinfo *rr_addr(const char *addr, uint16_t port)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *ai = NULL;
    char service[8];

    snprintf(service, sizeof(service), "%u", port);
    return getaddrinfo(addr, service, &hints, &ai) ? NULL : ai;
}

#define RR_GREETING "XFR1\1\0\0\0"

/* Connect, and send nothing but the greeting. */
static inline bool rr_dial(struct rr *r, const char *addr, uint16_t port, const char *greeting)
{
    struct rdma_conn_param param = {.private_data = greeting ? greeting : RR_GREETING,
                                    .private_data_len = 8,
                                    .retry_count = 7,
                                    .rnr_retry_count = 7};
    struct addrinfo *ai = rr_addr(addr, port);
    bool ok;

    memset(r, 0, sizeof(*r));
    r->ch = rdma_create_event_channel();
    ok = ai && r->ch && !rdma_create_id(r->ch, &r->id, NULL, RDMA_PS_TCP) &&
         !rdma_resolve_addr(r->id, NULL, ai->ai_addr, RR_WAIT_MS) &&
         rr_event(r->ch, RDMA_CM_EVENT_ADDR_RESOLVED, NULL) &&
         !rdma_resolve_route(r->id, RR_WAIT_MS) &&
         rr_event(r->ch, RDMA_CM_EVENT_ROUTE_RESOLVED, NULL) && rr_qp(r) &&
         !rdma_connect(r->id, &param) && rr_event(r->ch, RDMA_CM_EVENT_ESTABLISHED, NULL);
    if (ai)
        freeaddrinfo(ai);
    return ok;
}

static inline bool rr_listen(struct rr *r, const char *addr, uint16_t *port)
{
    struct addrinfo *ai = rr_addr(addr, 0);
    bool ok;

    memset(r, 0, sizeof(*r));
    r->listen_ch = rdma_create_event_channel();
    ok = ai && r->listen_ch && !rdma_create_id(r->listen_ch, &r->listen_id, NULL, RDMA_PS_TCP) &&
         !rdma_bind_addr(r->listen_id, ai->ai_addr) && !rdma_listen(r->listen_id, 4);
    if (ok)
        *port = ntohs(rdma_get_src_port(r->listen_id));
    if (ai)
        freeaddrinfo(ai);
    return ok;
}

static inline bool rr_answer(struct rr *r, const char *greeting)
{
    struct rdma_conn_param param = {.private_data = greeting ? greeting : RR_GREETING,
                                    .private_data_len = 8,
                                    .rnr_retry_count = 7};

    return rr_event(r->listen_ch, RDMA_CM_EVENT_CONNECT_REQUEST, &r->id) && rr_qp(r) &&
           !rdma_accept(r->id, &param) && rr_event(r->listen_ch, RDMA_CM_EVENT_ESTABLISHED, NULL);
}

/* Has the peer gone? rdma_cm reports it, and leaves the queue pair as it is. Disconnect here,
 * too: then receives without a message complete with an error, after all others. */
static inline void rr_hear(struct rr *r)
{
    struct rdma_event_channel *ch = r->ch ? r->ch : r->listen_ch;
    struct pollfd p = {.fd = ch->fd, .events = POLLIN};
    struct rdma_cm_event *ev;

    while (!r->told && poll(&p, 1, 0) == 1 && rdma_get_cm_event(ch, &ev) == 0) {
        /* rejected: by a peer that gave up before it knew of the connection */
        r->told = ev->id == r->id &&
                  (ev->event == RDMA_CM_EVENT_DISCONNECTED || ev->event == RDMA_CM_EVENT_REJECTED);
        rdma_ack_cm_event(ev);
        if (r->told)
            rdma_disconnect(r->id);
    }
}

/* The next completion of a send or of a receive. */
static inline bool rr_wait(struct rr *r, bool recv, struct ibv_wc *wc)
{
    int64_t end = rr_now() + RR_WAIT_MS;

    if (recv && r->taken < r->nr_kept) {
        *wc = r->kept[r->taken++ % RR_RECVS];
        return true;
    }
    while (rr_now() < end) {
        int n = ibv_poll_cq(r->cq, 1, wc);

        if (n < 0)
            return false;
        if (n == 0) {
            if (recv)
                rr_hear(r);
            nanosleep(&(struct timespec){0, 200000}, NULL);
            continue;
        }
        if (wc->status != IBV_WC_SUCCESS)
            return !recv;
        if (!(wc->opcode & IBV_WC_RECV) != recv)
            return true;
        if (!recv)
            r->kept[r->nr_kept++ % RR_RECVS] = *wc; /* as many as there are receives */
    }
    return false;
}

/* The next message; at most RR_RECV_BYTES. Returns its length; -1: none arrived. */
static inline long rr_recv(struct rr *r, void *out, size_t max)
{
    struct ibv_wc wc;

    if (!rr_wait(r, true, &wc))
        return -1;
    r->last = wc;
    if (out)
        memcpy(out, r->mem + RR_MEM / 4 + wc.wr_id * RR_RECV_BYTES,
               wc.byte_len < max ? wc.byte_len : max);
    rr_post_recv(r, wc.wr_id);
    return wc.byte_len;
}

/* Post one work request, and wait for its completion. */
static inline enum ibv_wc_status rr_post(struct rr *r, enum ibv_wr_opcode op, size_t at, size_t len,
                                         uint32_t imm, uint64_t remote, uint32_t rkey)
{
    struct ibv_sge sge = {(uintptr_t)(r->mem + at), (uint32_t)len, r->mr->lkey};
    struct ibv_send_wr wr = {.opcode = op,
                             .send_flags = IBV_SEND_SIGNALED,
                             .sg_list = &sge,
                             .num_sge = len ? 1 : 0,
                             .imm_data = htonl(imm)},
                       *bad;
    struct ibv_wc wc;

    wr.wr.rdma.remote_addr = remote;
    wr.wr.rdma.rkey = rkey;
    if (ibv_post_send(r->id->qp, &wr, &bad) || !rr_wait(r, false, &wc))
        return IBV_WC_GENERAL_ERR;
    return wc.status;
}

static inline enum ibv_wc_status rr_say(struct rr *r, const void *bytes, size_t len)
{
    memcpy(r->mem, bytes, len);
    return rr_post(r, IBV_WR_SEND, 0, len, 0, 0, 0);
}

static inline uint32_t rr_imm(uint32_t seq, uint32_t credits, uint32_t flags)
{
    return (seq & 0xffff) | credits << 16 | flags << 28;
}

/* A fragment as a good peer would send it, with the caller's immediate. */
static inline enum ibv_wc_status rr_fragment_imm(struct rr *r, const void *bytes, size_t len,
                                                 uint32_t imm)
{
    uint64_t at = r->ring + (uint64_t)(r->sent++ % r->slots) * r->slot;

    memcpy(r->mem, bytes, len);
    return rr_post(r, r->ring ? IBV_WR_RDMA_WRITE_WITH_IMM : IBV_WR_SEND_WITH_IMM, 0, len, imm, at,
                   r->rkey);
}

static inline enum ibv_wc_status rr_fragment(struct rr *r, const void *bytes, size_t len)
{
    return rr_fragment_imm(r, bytes, len, rr_imm(r->sent, 0, 1));
}

static inline void rr_derive(struct rr *r, const uint8_t key[32])
{
    static const char *labels[4] = {"xenferry rdma proof source", "xenferry rdma proof sink",
                                    "xenferry rdma seal source", "xenferry rdma seal sink"};
    uint8_t *outs[4] = {r->proof_source, r->proof_sink, r->seal_source, r->seal_sink};
    gnutls_datum_t ikm = {(uint8_t *)key, 32}, salt = {r->script + 32, 64};
    uint8_t prk[32];
    gnutls_datum_t p = {prk, 32};
    int i;

    gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &ikm, &salt, prk);
    for (i = 0; i < 4; i++) {
        gnutls_datum_t info = {(uint8_t *)labels[i], (unsigned)strlen(labels[i])};

        gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &p, &info, outs[i], 32);
    }
}

static inline void rr_add(struct rr *r, const void *bytes, size_t len)
{
    memcpy(r->script + r->script_len, bytes, len);
    r->script_len += len;
}

static inline void rr_proof(struct rr *r, const uint8_t key[32])
{
    uint8_t mac[32];

    gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, 32, r->script, r->script_len, mac);
    rr_add(r, mac, 32);
}

static inline bool rr_proved(struct rr *r, const uint8_t key[32])
{
    uint8_t mac[32];

    gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, 32, r->script, r->script_len - 32, mac);
    return !memcmp(mac, r->script + r->script_len - 32, 32);
}

/* Our own ring: 32 slots of 16 KiB in the second half of the memory. */
static inline void rr_own_ring(struct rr *r, uint8_t out[32], bool small)
{
    memset(out, 0, 32);
    rr_put(out, small ? 0 : (uintptr_t)(r->mem + RR_MEM / 2), 8);
    rr_put(out + 8, small ? 0 : r->mr->rkey, 4);
    rr_put(out + 12, 16384, 4);
    rr_put(out + 16, 32, 4);
}

static inline void rr_peer_ring(struct rr *r, const uint8_t in[32])
{
    r->ring = rr_get(in, 8);
    r->rkey = (uint32_t)rr_get(in + 8, 4);
    r->slot = (uint32_t)rr_get(in + 12, 4);
    r->slots = (uint32_t)rr_get(in + 16, 4);
}

/* The source's handshake. Returns the sink's verdict, or -1 if it did not get that far. */
static inline int rr_prove(struct rr *r, const uint8_t key[32], const uint8_t hello[32],
                           const struct rr_lie *lie)
{
    static const struct rr_lie none;
    uint8_t bytes[128], ring[32];

    lie = lie ? lie : &none;
    rr_add(r, hello, 32);
    gnutls_rnd(GNUTLS_RND_NONCE, bytes, 32);
    rr_add(r, bytes, 32);
    if (rr_say(r, r->script, 64 - lie->cut) != IBV_WC_SUCCESS || lie->stop_after == 1 ||
        rr_recv(r, bytes, 64) != 64)
        return -1;
    rr_add(r, bytes, 64);
    rr_derive(r, key);
    if (!rr_proved(r, r->proof_sink))
        return -1;
    rr_own_ring(r, ring, hello[14] != 1); /* role: bulk */
    rr_add(r, lie->ring ? lie->ring : ring, 32);
    rr_proof(r, lie->mirror ? r->proof_sink : r->proof_source);
    memcpy(bytes, r->script + 128, 64);
    if (lie->flip)
        bytes[lie->flip - 1] ^= 1;
    if (rr_say(r, bytes, 64) != IBV_WC_SUCCESS || lie->stop_after == 2 ||
        rr_recv(r, bytes, 96) != 96)
        return -1;
    rr_add(r, bytes, 96);
    if (!rr_proved(r, r->proof_sink))
        return -1;
    rr_peer_ring(r, bytes + 32);
    return bytes[6];
}

/* The sink's handshake. */
static inline bool rr_serve(struct rr *r, const uint8_t key[32], const uint8_t hello[32],
                            const struct rr_lie *lie)
{
    static const struct rr_lie none;
    uint8_t bytes[128], ring[32];

    lie = lie ? lie : &none;
    if (rr_recv(r, bytes, 64) != 64)
        return false;
    rr_add(r, bytes, 64);
    gnutls_rnd(GNUTLS_RND_NONCE, bytes, 32);
    rr_add(r, bytes, 32);
    rr_derive(r, key);
    rr_proof(r, r->proof_sink);
    if (rr_say(r, r->script + 64, 64 - lie->cut) != IBV_WC_SUCCESS || lie->stop_after == 1 ||
        rr_recv(r, bytes, 64) != 64)
        return false;
    rr_add(r, bytes, 64);
    if (!rr_proved(r, r->proof_source))
        return false;
    rr_peer_ring(r, bytes);
    rr_add(r, hello, 32);
    rr_own_ring(r, ring, hello[14] != 1); /* role: bulk */
    rr_add(r, lie->ring ? lie->ring : ring, 32);
    rr_proof(r, r->proof_sink);
    memcpy(bytes, r->script + 192, 96);
    if (lie->flip)
        bytes[lie->flip - 1] ^= 1;
    return rr_say(r, bytes, 96) == IBV_WC_SUCCESS;
}

/* politely: rdma_cm tells the peer; otherwise the queue pair is just gone. */
static inline void rr_drop(struct rr *r, bool politely)
{
    if (r->id && r->id->qp) {
        if (politely)
            rdma_disconnect(r->id);
        rdma_destroy_qp(r->id);
    }
    if (r->mr)
        ibv_dereg_mr(r->mr);
    free(r->mem);
    if (r->cq)
        ibv_destroy_cq(r->cq);
    if (r->pd)
        ibv_dealloc_pd(r->pd);
    r->mr = NULL;
    r->mem = NULL;
    r->cq = NULL;
    r->pd = NULL;
    if (!politely)
        return; /* destroying the id would notify the peer: keep it */
    if (r->id)
        rdma_destroy_id(r->id);
    r->id = NULL;
    if (r->ch)
        rdma_destroy_event_channel(r->ch);
    r->ch = NULL;
    r->told = false;
    r->script_len = 0;
    r->sent = r->nr_kept = r->taken = 0;
}

static inline void rr_unlisten(struct rr *r)
{
    rr_drop(r, true);
    rdma_destroy_id(r->listen_id);
    rdma_destroy_event_channel(r->listen_ch);
}

#endif
