/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sink's half of making a link: it listens with one or more transports and gathers the channels
 * that the source connects. The source chooses the transport and may change its choice: each
 * control channel begins a new link. The sink may keep listening while a link is in use, for the
 * link that will replace it. One thread.
 */
#ifndef XF_GATHER_H
#define XF_GATHER_H

#include "transport/link.h"

#define XF_GATHER_MAX 2

struct xf_gather {
    struct {
        const struct xf_transport_ops *ops;
        struct xf_listener *listener;
    } at[XF_GATHER_MAX];
    unsigned nr;
    unsigned channels; /* bulk channels of a link */
    /* Channels for disks, of the listener that was given some. */
    const struct xf_transport_ops *disk_ops; /* NULL: none */
    unsigned disk_channels;
    struct xf_chan *disk[XF_DISK_CHANNELS_MAX]; /* connected and not taken yet */
    uint32_t disks_taken;                       /* bit n: channel n was */
    unsigned version;                           /* of the wire protocol, as in xf_link_cfg */
    bool urgent; /* the link has an urgent channel, too; the caller sets it before the first step */
    struct xf_link link; /* being made; ops NULL: no channel yet */
    int64_t began;       /* when that link began (xf_now_ms()) */
};

/* Listen with one more transport. cfg->channels and cfg->version are the same for all; otherwise as
 * in xf_transport_ops.listen. */
int xf_gather_listen(struct xf_gather *g, const struct xf_transport_ops *ops,
                     const struct xf_link_cfg *cfg, const char *addr, uint16_t port,
                     uint16_t *port_out, struct xf_err *err);

/*
 * Take the channels that arrive within about timeout_ms (0: that have arrived). Returns 0: the link
 * has all its channels; XF_AGAIN: not yet; -1: a peer that knows the key was refused, or listening
 * is broken. While another transport is left that is no failure: the one concerned is dropped,
 * which the source will notice. A channel that is connected already is not a failure either: the
 * source has been told, and begins again.
 */
int xf_gather_step(struct xf_gather *g, int timeout_ms, struct xf_err *err);

/* Had the source begun to connect by the last step? */
bool xf_gather_called(const struct xf_gather *g);

/* Move the channels so far to `out`, which has none; g keeps listening. */
void xf_gather_take(struct xf_gather *g, struct xf_link *out);

/* Stop listening with this transport, or (NULL) with all; a link being made is closed if it uses
 * this transport. */
void xf_gather_unlisten(struct xf_gather *g, const struct xf_transport_ops *ops);
/* Channel n for disks, once it is connected; it is the caller's, and g->disk_ops'. NULL: not yet,
 * or it was taken before. */
struct xf_chan *xf_gather_take_disk(struct xf_gather *g, unsigned n);

/* Stop listening with all transports but this one. */
void xf_gather_keep(struct xf_gather *g, const struct xf_transport_ops *ops);

#endif
