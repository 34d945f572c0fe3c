/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The channel hello (frame.h): which channel of which link this is, in which version of the
 * protocol. Trusts no byte of the peer, allocates nothing, does no I/O.
 */
#include "transport/frame.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "transport/bytes.h"
#include "transport/wire.h"

#define HELLO_MAGIC 0x31484658u /* "XFH1" */
#define HELLO_FLAG_ENCRYPT 1u
/* Start of the bytes that are zero in version 1, and in version 2. */
#define HELLO_END_1 14u
#define HELLO_END_2 18u

char *xf_chan_name(char out[XF_CHAN_NAME], struct xf_chan_id id)
{
    switch (id.role) {
    case XF_ROLE_CONTROL:
        snprintf(out, XF_CHAN_NAME, "control channel");
        break;
    case XF_ROLE_BULK:
        snprintf(out, XF_CHAN_NAME, "bulk channel %u", id.nr + 1);
        break;
    case XF_ROLE_URGENT:
        snprintf(out, XF_CHAN_NAME, "urgent channel");
        break;
    case XF_ROLE_DISK:
        snprintf(out, XF_CHAN_NAME, "disk channel %u", id.nr + 1);
        break;
    default:
        snprintf(out, XF_CHAN_NAME, "channel %u of role %u", id.nr, (unsigned)id.role);
    }
    return out;
}

unsigned xf_chan_index(struct xf_chan_id id, unsigned channels)
{
    switch (id.role) {
    case XF_ROLE_CONTROL:
        return 0;
    case XF_ROLE_BULK:
        return id.nr + 1;
    case XF_ROLE_URGENT:
        return channels + 1;
    default:
        return id.nr;
    }
}

struct xf_chan_id xf_chan_id_of(unsigned index, unsigned channels)
{
    if (index == 0)
        return XF_CONTROL;
    if (index <= channels)
        return XF_BULK(index - 1);
    if (index == channels + 1)
        return XF_URGENT;
    return (struct xf_chan_id){.role = XF_ROLES, .nr = index};
}

struct xf_chan_hello xf_chan_hello_ours(const struct xf_link_cfg *cfg, struct xf_chan_id id)
{
    return (struct xf_chan_hello){
        .version = (uint16_t)(cfg->version ? cfg->version : XF_WIRE_VERSION),
        .oldest = XF_WIRE_OLDEST,
        .id = id,
        .channels = (uint16_t)cfg->channels,
        .encrypt = cfg->encrypt,
        .disk_channels = cfg->disk_channels,
    };
}

void xf_chan_hello_encode(uint8_t out[XF_HELLO_BYTES], const struct xf_chan_hello *h)
{
    bool first = h->version == 1;
    uint8_t *p = out;

    memset(out, 0, XF_HELLO_BYTES);
    p = put_le32(p, HELLO_MAGIC);
    p = put_le16(p, h->version);
    p = put_le16(p, h->status);
    p = put_le16(p, (uint16_t)(first ? xf_chan_index(h->id, h->channels) : h->id.nr));
    p = put_le16(p, h->channels);
    p = put_le16(p, h->encrypt ? HELLO_FLAG_ENCRYPT : 0);
    if (first)
        return;
    p = put_le16(p, (uint16_t)h->id.role);
    put_le16(p, h->oldest);
}

int xf_chan_hello_decode(struct xf_chan_hello *h, const uint8_t in[XF_HELLO_BYTES],
                         struct xf_err *err)
{
    uint32_t magic = get_le32(in);
    uint16_t flags, nr;
    unsigned i;

    memset(h, 0, sizeof(*h));
    if (magic != HELLO_MAGIC)
        return xf_fail(err, EPROTO, "the peer's hello begins with 0x%08x and not with 'XFH1'",
                       magic);
    h->version = get_le16(in + 4);
    h->status = get_le16(in + 6);
    h->oldest = h->version < 2 ? h->version : get_le16(in + 16);
    if (h->version < XF_WIRE_OLDEST || h->version > XF_WIRE_VERSION)
        return 0; /* only the fields common to all versions may be read */
    nr = get_le16(in + 8);
    h->channels = get_le16(in + 10);
    flags = get_le16(in + 12);
    h->encrypt = flags & HELLO_FLAG_ENCRYPT;
    if (h->version == 1)
        h->id = xf_chan_id_of(nr, h->channels);
    else
        h->id = (struct xf_chan_id){.role = get_le16(in + 14), .nr = nr};
    if (flags & ~HELLO_FLAG_ENCRYPT)
        return xf_fail(err, EPROTO, "the peer's hello has unknown flags 0x%04x", flags);
    if (h->oldest < 1 || h->oldest > h->version)
        return xf_fail(err, EPROTO,
                       "the peer's hello is of version %u, and the oldest that it understands is "
                       "%u",
                       h->version, h->oldest);
    for (i = h->version == 1 ? HELLO_END_1 : HELLO_END_2; i < XF_HELLO_BYTES; i++)
        if (in[i])
            return xf_fail(err, EPROTO, "byte %u of the peer's hello is not zero", i);
    return 0;
}

/* How many channels of a role a link may have. */
static unsigned limit(enum xf_role role, const struct xf_chan_hello *ours)
{
    unsigned channels = ours->channels;

    switch (role) {
    case XF_ROLE_CONTROL:
    case XF_ROLE_URGENT:
        return 1;
    case XF_ROLE_BULK:
        return channels < XF_CHANNELS_MAX ? channels : XF_CHANNELS_MAX;
    case XF_ROLE_DISK:
        return ours->disk_channels < XF_DISK_CHANNELS_MAX ? ours->disk_channels
                                                          : XF_DISK_CHANNELS_MAX;
    default:
        return 0;
    }
}

/* The channel's bit in a set of channels. */
static uint32_t bit(struct xf_chan_id id)
{
    static const unsigned first[XF_ROLES] = {[XF_ROLE_CONTROL] = 0,
                                             [XF_ROLE_BULK] = 1,
                                             [XF_ROLE_URGENT] = 1 + XF_CHANNELS_MAX,
                                             [XF_ROLE_DISK] = 2 + XF_CHANNELS_MAX};

    _Static_assert(2 + XF_CHANNELS_MAX + XF_DISK_CHANNELS_MAX <= 32, "a set has a bit for each");

    return 1u << (first[id.role] + id.nr);
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
    if (peer->id.nr >= limit(peer->id.role, ours))
        return XF_HELLO_ROLE;
    if (peer->id.role != XF_ROLE_CONTROL && taken & bit(peer->id))
        return XF_HELLO_DUPLICATE;
    return XF_HELLO_WELCOME;
}

uint32_t xf_chan_hello_take(uint32_t taken, struct xf_chan_id id)
{
    return id.role == XF_ROLE_CONTROL ? bit(id) : taken | bit(id);
}

uint32_t xf_chan_hello_untake(uint32_t taken, struct xf_chan_id id)
{
    return taken & ~bit(id);
}

int xf_link_cfg_check(const struct xf_link_cfg *cfg, struct xf_err *err)
{
    if (cfg->channels < 1 || cfg->channels > XF_CHANNELS_MAX)
        return xf_fail(err, EINVAL, "a move has 1 to %u bulk channels, not %u", XF_CHANNELS_MAX,
                       cfg->channels);
    if (cfg->disk_channels > XF_DISK_CHANNELS_MAX || (cfg->disk_channels && cfg->version == 1))
        return xf_fail(err, EINVAL, "%u channels for disks are not possible here",
                       cfg->disk_channels);
    if (cfg->version && (cfg->version < XF_WIRE_OLDEST || cfg->version > XF_WIRE_VERSION))
        return xf_fail(err, EINVAL, "version %u of the wire protocol is not supported here",
                       cfg->version);
    if (!cfg->key)
        return xf_fail(err, EINVAL, "a connection needs a key");
    if (cfg->timeout_ms <= 0)
        return xf_fail(err, EINVAL, "a connection needs a timeout above 0, not %d ms",
                       cfg->timeout_ms);
    return 0;
}

int xf_chan_hello_refused(enum xf_chan_hello_status status, const struct xf_chan_hello *ours,
                          const struct xf_chan_hello *peer, struct xf_err *err)
{
    char name[XF_CHAN_NAME];

    switch (status) {
    case XF_HELLO_VERSION:
        return xf_fail(err, EPROTO,
                       "this side speaks version %u of the wire protocol on this link and the peer "
                       "version %u: one of them has changed since they agreed on it",
                       ours->version, peer->version);
    case XF_HELLO_CHANNELS:
        return xf_fail(err, EPROTO, "this side expects %u bulk channels and the peer %u",
                       ours->channels, peer->channels);
    case XF_HELLO_ENCRYPT:
        return xf_fail(err, EPROTO,
                       "encryption is %s on this side and %s at the peer: use the same on both",
                       ours->encrypt ? "on" : "off", peer->encrypt ? "on" : "off");
    case XF_HELLO_ROLE:
        return xf_fail(err, EPROTO, "there is no %s in a move of %u bulk channels",
                       xf_chan_name(name, peer->id), ours->channels);
    case XF_HELLO_DUPLICATE:
        return xf_fail(err, EEXIST, "the %s is connected already", xf_chan_name(name, peer->id));
    case XF_HELLO_MALFORMED:
        return xf_fail(err, EPROTO, "the channel hello was malformed");
    default:
        return xf_fail(err, EPROTO, "the channel hello was answered with unknown status %u",
                       status);
    }
}
