/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets of gfns on their way over the control channel, in as many messages as they need. */
#ifndef XF_EXTENTS_H
#define XF_EXTENTS_H

#include "precopy/bitmap.h"
#include "transport/link.h"

/*
 * Send the set in `map` (nr_gfns bits) as messages of this type, the last of them marked so;
 * one at least. x and meta (XF_META_MAX bytes) are scratch. *nr_msgs (may be NULL) is added to.
 */
int xf_send_extents(struct xf_link *l, uint16_t type, const unsigned long *map, uint64_t nr_gfns,
                    struct xf_extents *x, void *meta, unsigned *nr_msgs, struct xf_err *err);

/* The next extents at or after *at into x; moves *at. True if they are the last. */
bool xf_next_extents(struct xf_extents *x, const unsigned long *map, uint64_t *at,
                     uint64_t nr_gfns);

/* Set the bits of a set. */
void xf_set_extents(unsigned long *map, const struct xf_extents *x);

#endif
