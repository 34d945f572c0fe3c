/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets of gfns sent over the control channel, in as many messages as they need. */
#ifndef XF_EXTENTS_H
#define XF_EXTENTS_H

#include "pages/bitmap.h"
#include "transport/link.h"

/*
 * Send the set in `map` (nr_gfns bits) as one or more messages of this type, the last one marked as
 * such. x and meta (XF_META_MAX bytes) are scratch. *nr_msgs (may be NULL) is added to.
 */
int xf_send_extents(struct xf_link *l, uint16_t type, const unsigned long *map, uint64_t nr_gfns,
                    struct xf_extents *x, void *meta, unsigned *nr_msgs, struct xf_err *err);

/* Put the next extents at or after *at into x; advances *at. True if they are the last. */
bool xf_next_extents(struct xf_extents *x, const unsigned long *map, uint64_t *at,
                     uint64_t nr_gfns);

/*
 * The same for a set that lies entirely within `in`; costs what `in` covers and not all gfns. *at
 * is 0 at first, and is advanced.
 */
bool xf_next_within(struct xf_extents *x, const unsigned long *map, const struct xf_extents *in,
                    uint64_t *at);

/* A set that the peer sends, in as many messages as it takes. */
struct xf_extents_in {
    uint64_t next;    /* the next message's extents begin here, or later */
    int64_t until_ms; /* on xf_now_ms() */
};
/* The set begins to arrive. All of it must be here within ms plus the time that a slow link needs
 * for nr_gfns (at worst 8 bytes for each of them, at 1 Mbit/s). */
struct xf_extents_in xf_extents_expect(int ms, uint64_t nr_gfns);
/* Take one message of it, already decoded; NULL: none arrived, only check the time. -1 for a peer
 * that would never end: EPROTO if it does not ascend, or for an empty message that is not the last;
 * ETIMEDOUT. */
int xf_extents_take(struct xf_extents_in *in, const struct xf_extents *x, struct xf_err *err);

/* Set, and clear, the bits of a set. */
void xf_set_extents(unsigned long *map, const struct xf_extents *x);
void xf_unset_extents(unsigned long *map, const struct xf_extents *x);

#endif
