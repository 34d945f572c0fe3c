/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sink's half of making a link: it listens with one or more transports and gathers the
 * channels that the source connects. The source decides which transport it is, and may
 * change its mind: each control channel begins a link anew. It may go on listening
 * while a link is in use, for the one that will replace it. One thread.
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
    unsigned channels;   /* bulk channels of a link */
    unsigned version;    /* of the wire protocol: as xf_link_cfg has it */
    bool urgent;         /* and an urgent one; the caller sets it before the first step */
    struct xf_link link; /* in the making; ops NULL: nobody has come yet */
    int64_t began;       /* when that link was (xf_now_ms()) */
};

/* Listen with one more transport. cfg->channels and cfg->version are the same for all; the rest is
 * as xf_transport_ops.listen has it. */
int xf_gather_listen(struct xf_gather *g, const struct xf_transport_ops *ops,
                     const struct xf_link_cfg *cfg, const char *addr, uint16_t port,
                     uint16_t *port_out, struct xf_err *err);

/*
 * Take what comes within about timeout_ms (0: has come). 0: the link has all its channels;
 * XF_AGAIN: not yet; -1: a peer who knows the key was refused, or listening is broken. While
 * there is another transport that is no failure: the one that it happened to is taken out, and
 * the source will find that out. Nor is a channel that was connected already: the source has been
 * told, and begins anew.
 */
int xf_gather_step(struct xf_gather *g, int timeout_ms, struct xf_err *err);

/* Has the source begun to connect, as far as the last step knew? */
bool xf_gather_called(const struct xf_gather *g);

/* The channels so far become those of `out`, which has none; g goes on listening. */
void xf_gather_take(struct xf_gather *g, struct xf_link *out);

/* Stop listening with this transport, or (NULL) with all; a link in the making is closed if
 * it is of this transport. */
void xf_gather_unlisten(struct xf_gather *g, const struct xf_transport_ops *ops);
/* With all but this one. */
void xf_gather_keep(struct xf_gather *g, const struct xf_transport_ops *ops);

#endif
