/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The envelope of a message and the hello of a channel, shared by every transport
 * (docs/wire-protocol.md, "Messages" and "the channel hello"). What a message means
 * is in wire.h; how its bytes travel is each transport's own business.
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

/* First half: magic and limits, so that meta_len may be trusted to read the meta part by. */
int xf_frame_decode(struct xf_msg *m, const uint8_t in[XF_FRAME_BYTES], struct xf_err *err);

/* Second half: the check over header and meta part. */
int xf_frame_check(const uint8_t in[XF_FRAME_BYTES], const struct xf_msg *m, const void *meta,
                   struct xf_err *err);

enum xf_chan_hello_status {
    XF_HELLO_WELCOME = 0,
    XF_HELLO_VERSION = 1,
    XF_HELLO_CHANNELS = 2,
    XF_HELLO_ENCRYPT = 3,
    XF_HELLO_ROLE = 4, /* there is no such channel */
    XF_HELLO_DUPLICATE = 5,
    XF_HELLO_MALFORMED = 6,
};

struct xf_chan_hello {
    uint16_t version; /* that this link is spoken in; it says how the rest is written */
    uint16_t oldest;  /* that the sender understands; of version 1: 1 */
    uint16_t status;  /* enum xf_chan_hello_status */
    struct xf_chan_id id;
    uint16_t channels;
    bool encrypt;
};

/* h->version is one that is understood here. */
void xf_chan_hello_encode(uint8_t out[XF_HELLO_BYTES], const struct xf_chan_hello *h);
/* Of a hello of a version that is not understood here only version, oldest and status are given
 * (the rest is 0). An id that no channel can have is taken as it is, for the judge. */
int xf_chan_hello_decode(struct xf_chan_hello *h, const uint8_t in[XF_HELLO_BYTES],
                         struct xf_err *err);

/* The number that a channel had before version 2, where it stood for its role: 0 control, 1.. bulk,
 * channels + 1 urgent; and back, a number that no channel had being one of role XF_ROLES. */
unsigned xf_chan_index(struct xf_chan_id id, unsigned channels);
struct xf_chan_id xf_chan_id_of(unsigned index, unsigned channels);

/* What this side says of itself. */
struct xf_chan_hello xf_chan_hello_ours(const struct xf_link_cfg *cfg, struct xf_chan_id id);

/* What every transport asks of a configuration, so that a hello can be made of it. EINVAL. */
int xf_link_cfg_check(const struct xf_link_cfg *cfg, struct xf_err *err);

/* Judge a peer's hello by our own; returns the verdict. `taken` has a bit for each channel
 * that is connected already. The control channel always may be: it begins a link anew. */
enum xf_chan_hello_status xf_chan_hello_judge(const struct xf_chan_hello *ours,
                                              const struct xf_chan_hello *peer, uint32_t taken);
/* What is taken after this channel was welcomed; and when nothing came of it after all. */
uint32_t xf_chan_hello_take(uint32_t taken, struct xf_chan_id id);
uint32_t xf_chan_hello_untake(uint32_t taken, struct xf_chan_id id);

/* Report a verdict other than XF_HELLO_WELCOME, in words that fit both sides. Returns -1. */
int xf_chan_hello_refused(enum xf_chan_hello_status status, const struct xf_chan_hello *ours,
                          const struct xf_chan_hello *peer, struct xf_err *err);

#endif
