/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Encoder and decoder of the message envelope and the channel hello. Trusts no byte of
 * the peer, allocates nothing, does no I/O.
 */
#include "transport/frame.h"

#include <errno.h>
#include <string.h>

#define XXH_STATIC_LINKING_ONLY /* for a state on the stack: no allocation, no failure */
#include <xxhash.h>

#include "transport/bytes.h"
#include "transport/wire.h"

#define FRAME_MAGIC 0x314d4658u /* "XFM1" */
#define HELLO_MAGIC 0x31484658u /* "XFH1" */
#define HELLO_FLAG_ENCRYPT 1u

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

void xf_chan_hello_encode(uint8_t out[XF_HELLO_BYTES], const struct xf_chan_hello *h)
{
    uint8_t *p = out;

    memset(out, 0, XF_HELLO_BYTES);
    p = put_le32(p, HELLO_MAGIC);
    p = put_le16(p, h->version);
    p = put_le16(p, h->status);
    p = put_le16(p, h->index);
    p = put_le16(p, h->channels);
    put_le16(p, h->encrypt ? HELLO_FLAG_ENCRYPT : 0);
}

int xf_chan_hello_decode(struct xf_chan_hello *h, const uint8_t in[XF_HELLO_BYTES],
                         struct xf_err *err)
{
    uint32_t magic = get_le32(in);
    uint16_t flags;
    unsigned i;

    memset(h, 0, sizeof(*h));
    if (magic != HELLO_MAGIC)
        return xf_fail(err, EPROTO, "the peer's hello begins with 0x%08x and not with 'XFH1'",
                       magic);
    h->version = get_le16(in + 4);
    h->status = get_le16(in + 6);
    if (h->version != XF_WIRE_VERSION)
        return 0; /* only what every version has in common may be looked at */
    h->index = get_le16(in + 8);
    h->channels = get_le16(in + 10);
    flags = get_le16(in + 12);
    h->encrypt = flags & HELLO_FLAG_ENCRYPT;
    if (flags & ~HELLO_FLAG_ENCRYPT)
        return xf_fail(err, EPROTO, "the peer's hello has unknown flags 0x%04x", flags);
    for (i = 14; i < XF_HELLO_BYTES; i++)
        if (in[i])
            return xf_fail(err, EPROTO, "byte %u of the peer's hello is not zero", i);
    return 0;
}

enum xf_chan_hello_status xf_chan_hello_judge(const struct xf_chan_hello *ours,
                                              const struct xf_chan_hello *peer, uint32_t taken)
{
    if (peer->version != ours->version)
        return XF_HELLO_VERSION;
    if (peer->channels != ours->channels)
        return XF_HELLO_CHANNELS;
    if (peer->encrypt != ours->encrypt)
        return XF_HELLO_ENCRYPT;
    if (peer->index > XF_URGENT_INDEX(ours->channels) ||
        peer->index > XF_URGENT_INDEX(XF_CHANNELS_MAX))
        return XF_HELLO_INDEX;
    if (peer->index && taken & (1u << peer->index))
        return XF_HELLO_DUPLICATE;
    return XF_HELLO_WELCOME;
}

uint32_t xf_chan_hello_take(uint32_t taken, unsigned index)
{
    return index ? taken | 1u << index : 1;
}

int xf_link_cfg_check(const struct xf_link_cfg *cfg, struct xf_err *err)
{
    if (cfg->channels < 1 || cfg->channels > XF_CHANNELS_MAX)
        return xf_fail(err, EINVAL, "a move has 1 to %u bulk channels, not %u", XF_CHANNELS_MAX,
                       cfg->channels);
    if (!cfg->key)
        return xf_fail(err, EINVAL, "a connection needs a key");
    if (cfg->timeout_ms <= 0)
        return xf_fail(err, EINVAL, "a connection needs some time, not %d ms", cfg->timeout_ms);
    return 0;
}

int xf_chan_hello_refused(enum xf_chan_hello_status status, const struct xf_chan_hello *ours,
                          const struct xf_chan_hello *peer, struct xf_err *err)
{
    switch (status) {
    case XF_HELLO_VERSION:
        return xf_fail(err, EPROTO,
                       "this side speaks version %u of the wire protocol and the peer version %u: "
                       "install the same Xenferry on both",
                       ours->version, peer->version);
    case XF_HELLO_CHANNELS:
        return xf_fail(err, EPROTO, "this side expects %u bulk channels and the peer %u",
                       ours->channels, peer->channels);
    case XF_HELLO_ENCRYPT:
        return xf_fail(err, EPROTO,
                       "encryption is %s on this side and %s at the peer: use the same on both",
                       ours->encrypt ? "on" : "off", peer->encrypt ? "on" : "off");
    case XF_HELLO_INDEX:
        return xf_fail(err, EPROTO, "there is no channel %u in a move of %u bulk channels",
                       peer->index, ours->channels);
    case XF_HELLO_DUPLICATE:
        return xf_fail(err, EEXIST, "channel %u is connected already", peer->index);
    case XF_HELLO_MALFORMED:
        return xf_fail(err, EPROTO, "the channel hello was malformed");
    default:
        return xf_fail(err, EPROTO, "the channel hello was answered with unknown status %u",
                       status);
    }
}
