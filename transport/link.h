/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A link: the channels of one move held together. It belongs to the thread that runs the move; each
 * bulk channel is lent to one worker thread while there are workers, and the urgent channel, if the
 * move has one, to the thread that sends requests or answers on it.
 */
#ifndef XF_LINK_H
#define XF_LINK_H

#include "transport/transport.h"
#include "transport/wire.h"

struct xf_link {
    const struct xf_transport_ops *ops;
    struct xf_chan *control;
    struct xf_chan *bulk[XF_CHANNELS_MAX];
    unsigned nr_bulk;
    struct xf_chan *urgent;    /* NULL: this move has none */
    unsigned version;          /* of the wire protocol, as in xf_link_cfg */
    struct xf_chan_stats past; /* of channels that are closed */
};

/* Where the sink is, for xf_link_connect(). */
struct xf_link_peer {
    const char *host; /* as in the connect op */
    uint16_t port;
    const char *src; /* local address, or NULL */
};

/* The protocol version of this link. */
static inline unsigned xf_link_version(const struct xf_link *l)
{
    return l->version ? l->version : XF_WIRE_VERSION;
}

/*
 * Source: connect every channel of cfg that is not connected yet, the urgent one only if `urgent`.
 * The caller has set l->ops. tick is called before each channel; -1 from it ends the call. Blocks
 * for at most cfg->timeout_ms per channel. After a failure the caller closes the channels that were
 * connected.
 */
int xf_link_connect(struct xf_link *l, const struct xf_link_cfg *cfg,
                    const struct xf_link_peer *peer, bool urgent, struct xf_tick tick,
                    struct xf_err *err);

/* Set the control channel's watch (transport.h), since no other thread would abort it. For the
 * lifetime of the link. */
void xf_link_watch(struct xf_link *l, struct xf_tick tick);

/* Send a message that has only a meta part on the control channel. */
int xf_link_say(struct xf_link *l, uint16_t type, const void *meta, size_t len, struct xf_err *err);

/* Send a message of n u64 on the control channel. */
int xf_link_say_u64s(struct xf_link *l, uint16_t type, const uint64_t *v, unsigned n,
                     struct xf_err *err);

/*
 * Wait for a message of the given type, without payload, on the control channel. An XF_MSG_ERROR
 * from the peer becomes the error; any other type is EPROTO, and *m is the message received.
 * XF_AGAIN after timeout_ms. meta has XF_META_MAX bytes.
 */
int xf_link_hear(struct xf_link *l, uint16_t type, struct xf_msg *m, void *meta, int timeout_ms,
                 struct xf_err *err);

/*
 * A channel has failed: if the peer sends the reason on the control channel (within wait_ms),
 * replace `err` with it. For whoever reports the failure.
 */
void xf_link_last_words(struct xf_link *l, int wait_ms, struct xf_err *err);

/* Sums over all channels, including closed ones. */
struct xf_chan_stats xf_link_stats(const struct xf_link *l);
/* Bytes on the wire so far, both directions. */
uint64_t xf_link_bytes(const struct xf_link *l);

/* Wake every thread that is blocked in a bulk channel; those channels are then dead. */
void xf_link_abort_bulk(struct xf_link *l);

/* Wake every thread that is blocked in any channel; the whole link is then dead. */
void xf_link_abort(struct xf_link *l);

/* Close every channel. The link can be used again, with new ones. */
void xf_link_close(struct xf_link *l);

#endif
