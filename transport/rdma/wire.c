/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Encoders and decoders of what is not a message: see wire.h. */
#include "transport/rdma/wire.h"

#include <errno.h>
#include <string.h>

#include "transport/bytes.h"

#define GREETING_MAGIC 0x31524658u /* "XFR1" */
#define IMM_CREDIT_SHIFT 16
#define IMM_CREDIT_MASK 0xfffu
#define IMM_FLAG_SHIFT 28

void xf_greeting_encode(uint8_t out[XF_GREETING_BYTES])
{
    put_le32(out, GREETING_MAGIC);
    put_le16(out + 4, XF_RDMA_VERSION);
    put_le16(out + 6, 0);
}

/* rdma_cm pads private data with zeros, so it may be longer. */
int xf_greeting_decode(uint16_t *version, const void *in, size_t len)
{
    const uint8_t *p = in;

    *version = 0;
    if (!in || len < XF_GREETING_BYTES || get_le32(p) != GREETING_MAGIC)
        return -1;
    *version = get_le16(p + 4);
    return *version == XF_RDMA_VERSION && get_le16(p + 6) == 0 ? 0 : -1;
}

void xf_ring_encode(uint8_t out[XF_RING_BYTES], const struct xf_rdma_peer *r)
{
    memset(out, 0, XF_RING_BYTES);
    put_le64(out, r->addr);
    put_le32(out + 8, r->rkey);
    put_le32(out + 12, r->slot);
    put_le32(out + 16, r->slots);
}

int xf_ring_decode(struct xf_rdma_peer *r, const uint8_t in[XF_RING_BYTES], bool small,
                   struct xf_err *err)
{
    unsigned i;

    r->addr = get_le64(in);
    r->rkey = get_le32(in + 8);
    r->slot = get_le32(in + 12);
    r->slots = get_le32(in + 16);
    if (r->slot < XF_SLOT_MIN || r->slot > XF_SLOT_MAX || r->slot % XF_SLOT_MIN)
        return xf_fail(err, EPROTO, "the peer's ring has slots of %u bytes", r->slot);
    if (r->slots < XF_SLOTS_MIN || r->slots > XF_SLOTS_MAX)
        return xf_fail(err, EPROTO, "the peer's ring has %u slots", r->slots);
    if (small && (r->addr || r->rkey))
        return xf_fail(err, EPROTO,
                       "the peer offers memory on a channel that does not write to memory");
    if (r->addr + (uint64_t)r->slot * r->slots < r->addr)
        return xf_fail(err, EPROTO, "the peer's ring lies beyond the end of its memory");
    for (i = 20; i < XF_RING_BYTES; i++)
        if (in[i])
            return xf_fail(err, EPROTO, "byte %u of the peer's ring descriptor is not zero", i);
    return 0;
}

uint32_t xf_imm_encode(const struct xf_imm *i)
{
    return i->seq | i->credits << IMM_CREDIT_SHIFT | i->flags << IMM_FLAG_SHIFT;
}

int xf_imm_decode(struct xf_imm *i, uint32_t word, struct xf_err *err)
{
    i->seq = (uint16_t)word;
    i->credits = word >> IMM_CREDIT_SHIFT & IMM_CREDIT_MASK;
    i->flags = word >> IMM_FLAG_SHIFT;
    if (i->flags > XF_IMM_BYE || i->credits > XF_SLOTS_MAX)
        return xf_fail(err, EPROTO, "the peer's immediate 0x%08x has no meaning", word);
    if (!i->flags && !i->credits)
        return xf_fail(err, EPROTO, "the peer sent a fragment with neither data nor credits");
    if (i->flags != XF_IMM_DATA && i->seq)
        return xf_fail(err, EPROTO, "the peer numbered a fragment without data");
    return 0;
}
