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
    XF_HELLO_INDEX = 4,
    XF_HELLO_DUPLICATE = 5,
    XF_HELLO_MALFORMED = 6,
};

struct xf_chan_hello {
    uint16_t version;
    uint16_t status; /* enum xf_chan_hello_status */
    uint16_t index;
    uint16_t channels;
    bool encrypt;
};

void xf_chan_hello_encode(uint8_t out[XF_HELLO_BYTES], const struct xf_chan_hello *h);
/* Of a hello of another version only version and status are given (the rest is 0). */
int xf_chan_hello_decode(struct xf_chan_hello *h, const uint8_t in[XF_HELLO_BYTES],
                         struct xf_err *err);

/* What every transport asks of a configuration, so that a hello can be made of it. EINVAL. */
int xf_link_cfg_check(const struct xf_link_cfg *cfg, struct xf_err *err);

/* Judge a peer's hello by our own; returns the verdict. `taken` has a bit for each index
 * that is connected already. Index 0 always may be: it begins a link anew. */
enum xf_chan_hello_status xf_chan_hello_judge(const struct xf_chan_hello *ours,
                                              const struct xf_chan_hello *peer, uint32_t taken);
/* What is taken after this index was welcomed. */
uint32_t xf_chan_hello_take(uint32_t taken, unsigned index);

/* Report a verdict other than XF_HELLO_WELCOME, in words that fit both sides. Returns -1. */
int xf_chan_hello_refused(enum xf_chan_hello_status status, const struct xf_chan_hello *ours,
                          const struct xf_chan_hello *peer, struct xf_err *err);

#endif
