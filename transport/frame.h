/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The envelope of a message and the hello of a channel, shared by every transport
 * (docs/wire-protocol.md, "Messages" and "the channel hello"). wire.h has the meaning of messages;
 * each transport has its own way to move their bytes.
 */
#ifndef XF_FRAME_H
#define XF_FRAME_H

#include <stdint.h>

#include "transport/err.h"
#include "transport/transport.h"

#define XF_FRAME_BYTES 24u
#define XF_HELLO_BYTES 32u

/* Write the header of message m with this meta part. Fails (EMSGSIZE) over a limit. */
int xf_frame_encode(uint8_t out[XF_FRAME_BYTES], const struct xf_msg *m, const void *meta,
                    struct xf_err *err);

/* First half: check magic and limits, so that meta_len is safe for reading the meta part. */
int xf_frame_decode(struct xf_msg *m, const uint8_t in[XF_FRAME_BYTES], struct xf_err *err);

/* Second half: verify the checksum over header and meta part. */
int xf_frame_check(const uint8_t in[XF_FRAME_BYTES], const struct xf_msg *m, const void *meta,
                   struct xf_err *err);

enum xf_chan_hello_status {
    XF_HELLO_WELCOME = 0,
    XF_HELLO_VERSION = 1,
    XF_HELLO_CHANNELS = 2,
    XF_HELLO_ENCRYPT = 3,
    XF_HELLO_ROLE = 4, /* no such channel */
    XF_HELLO_DUPLICATE = 5,
    XF_HELLO_MALFORMED = 6,
};

struct xf_chan_hello {
    uint16_t version; /* of this link; it determines the layout of the rest */
    uint16_t oldest;  /* oldest that the sender understands; 1 in version 1 */
    uint16_t status;  /* enum xf_chan_hello_status */
    struct xf_chan_id id;
    uint16_t channels;
    bool encrypt;
    unsigned disk_channels; /* of ours; not on the wire */
};

/* h->version must be one that is understood here. */
void xf_chan_hello_encode(uint8_t out[XF_HELLO_BYTES], const struct xf_chan_hello *h);
/* From a hello of an unknown version only version, oldest and status are set (the rest is 0). An
 * invalid channel id is passed on unchanged, for xf_chan_hello_judge(). */
int xf_chan_hello_decode(struct xf_chan_hello *h, const uint8_t in[XF_HELLO_BYTES],
                         struct xf_err *err);

/* The number that version 1 has in place of role and nr: 0 control, 1.. bulk, channels + 1 urgent;
 * and the reverse, where an invalid number gives role XF_ROLES. */
unsigned xf_chan_index(struct xf_chan_id id, unsigned channels);
struct xf_chan_id xf_chan_id_of(unsigned index, unsigned channels);

/* The hello of this side. */
struct xf_chan_hello xf_chan_hello_ours(const struct xf_link_cfg *cfg, struct xf_chan_id id);

/* Check what every transport requires of a configuration before a hello is made from it. EINVAL. */
int xf_link_cfg_check(const struct xf_link_cfg *cfg, struct xf_err *err);

/* Judge a peer's hello by our own; returns the verdict. `taken` has a bit for each channel that is
 * connected already. The control channel may always connect again: it begins a new link. */
enum xf_chan_hello_status xf_chan_hello_judge(const struct xf_chan_hello *ours,
                                              const struct xf_chan_hello *peer, uint32_t taken);
/* `taken` with this channel added, when it is welcomed; and without it, if it fails after all. */
uint32_t xf_chan_hello_take(uint32_t taken, struct xf_chan_id id);
uint32_t xf_chan_hello_untake(uint32_t taken, struct xf_chan_id id);

/* Report a verdict other than XF_HELLO_WELCOME, in words that fit either side. Returns -1. */
int xf_chan_hello_refused(enum xf_chan_hello_status status, const struct xf_chan_hello *ours,
                          const struct xf_chan_hello *peer, struct xf_err *err);

#endif
