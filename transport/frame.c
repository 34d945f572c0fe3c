/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Encoder and decoder of the message envelope. Trusts no byte of the peer, allocates nothing, does
 * no I/O. The channel hello is in chan_hello.c.
 */
#include "transport/frame.h"

#include <errno.h>
#include <string.h>

#define XXH_STATIC_LINKING_ONLY /* for a state on the stack: no allocation, no failure */
#include <xxhash.h>

#include "transport/bytes.h"
#include "transport/wire.h"

#define FRAME_MAGIC 0x314d4658u /* "XFM1" */

static uint64_t frame_sum(const uint8_t head[16], const void *meta, size_t meta_len)
{
    XXH3_state_t st;

    XXH3_64bits_reset(&st);
    XXH3_64bits_update(&st, head, 16);
    if (meta_len)
        XXH3_64bits_update(&st, meta, meta_len);
    return XXH3_64bits_digest(&st);
}

static int check_limits(const struct xf_msg *m, int num, struct xf_err *err)
{
    if (m->meta_len > XF_META_MAX)
        return xf_fail(err, num,
                       "a message of type %u has a meta part of %u bytes, over the limit of %u",
                       m->type, m->meta_len, XF_META_MAX);
    if (m->payload_len > XF_PAYLOAD_MAX)
        return xf_fail(err, num,
                       "a message of type %u has a payload of %u bytes, over the limit of %u",
                       m->type, m->payload_len, XF_PAYLOAD_MAX);
    return 0;
}

int xf_frame_encode(uint8_t out[XF_FRAME_BYTES], const struct xf_msg *m, const void *meta,
                    struct xf_err *err)
{
    uint8_t *p = out;

    if (check_limits(m, EMSGSIZE, err))
        return -1;
    p = put_le32(p, FRAME_MAGIC);
    p = put_le16(p, m->type);
    p = put_le16(p, m->flags);
    p = put_le32(p, m->meta_len);
    p = put_le32(p, m->payload_len);
    put_le64(p, frame_sum(out, meta, m->meta_len));
    return 0;
}

int xf_frame_decode(struct xf_msg *m, const uint8_t in[XF_FRAME_BYTES], struct xf_err *err)
{
    uint32_t magic = get_le32(in);

    if (magic != FRAME_MAGIC)
        return xf_fail(err, EPROTO, "the peer's message begins with 0x%08x and not with 'XFM1'",
                       magic);
    m->type = get_le16(in + 4);
    m->flags = get_le16(in + 6);
    m->meta_len = get_le32(in + 8);
    m->payload_len = get_le32(in + 12);
    return check_limits(m, EPROTO, err);
}

int xf_frame_check(const uint8_t in[XF_FRAME_BYTES], const struct xf_msg *m, const void *meta,
                   struct xf_err *err)
{
    if (get_le64(in + 16) != frame_sum(in, meta, m->meta_len))
        return xf_fail(err, EPROTO, "a message of type %u was damaged on its way (wrong check)",
                       m->type);
    return 0;
}
