/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bytes of the RDMA transport that are not messages (docs/wire-protocol.md, "RDMA"):
 * greeting, ring descriptor, immediate, and the layout of the handshake. Trusts no byte of the
 * peer, allocates nothing, does no I/O.
 */
#ifndef XF_RDMA_WIRE_H
#define XF_RDMA_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/err.h"
#include "transport/frame.h"

#define XF_RDMA_VERSION 1
#define XF_GREETING_BYTES 8u /* rdma_cm's private data: magic and version only */
#define XF_NONCE_BYTES 32u
#define XF_MAC_BYTES 32u
#define XF_RING_BYTES 32u
#define XF_TAG_BYTES 16u /* of a sealed fragment */

/* Lengths of the handshake's messages, and of all of them in sequence. */
#define XF_HS_CHALLENGE (XF_HELLO_BYTES + XF_NONCE_BYTES)             /* source */
#define XF_HS_ANSWER (XF_NONCE_BYTES + XF_MAC_BYTES)                  /* sink */
#define XF_HS_PROOF (XF_RING_BYTES + XF_MAC_BYTES)                    /* source */
#define XF_HS_WELCOME (XF_HELLO_BYTES + XF_RING_BYTES + XF_MAC_BYTES) /* sink */
#define XF_HS_MAX 128u
#define XF_HS_SCRIPT (XF_HS_CHALLENGE + XF_HS_ANSWER + XF_HS_PROOF + XF_HS_WELCOME)

#define XF_SLOT_MIN 4096u /* and every slot is a multiple of it */
#define XF_SLOT_MAX (1u << 20)
#define XF_SLOTS_MIN 4u
#define XF_SLOTS_MAX 1024u

void xf_greeting_encode(uint8_t out[XF_GREETING_BYTES]);
/* 0, or -1 without filling an error: not a greeting of ours (version 0) or of another version. */
int xf_greeting_decode(uint16_t *version, const void *in, size_t len);

/* The receive ring of a peer. */
struct xf_rdma_peer {
    uint64_t addr; /* of slot 0 in the peer's memory; 0 on a small channel */
    uint32_t rkey;
    uint32_t slot;  /* bytes of one */
    uint32_t slots; /* how many may be filled, at most */
};

void xf_ring_encode(uint8_t out[XF_RING_BYTES], const struct xf_rdma_peer *r);
int xf_ring_decode(struct xf_rdma_peer *r, const uint8_t in[XF_RING_BYTES], bool small,
                   struct xf_err *err);

/* The immediate of every fragment. */
#define XF_IMM_DATA 1u /* the fragment has data; otherwise it has none */
#define XF_IMM_BYE 2u  /* the sender has closed in order */

struct xf_imm {
    uint16_t seq;     /* with data: of the fragment, modulo 2^16; otherwise 0 */
    uint32_t credits; /* slots that are free again, 0..XF_SLOTS_MAX */
    uint32_t flags;
};

uint32_t xf_imm_encode(const struct xf_imm *i);
int xf_imm_decode(struct xf_imm *i, uint32_t word, struct xf_err *err);

#endif
