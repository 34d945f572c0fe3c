/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order of pages within a round: coldest first. A page's heat is the number of recent rounds in
 * which the guest wrote it; pages that are written all the time go last, and pages found dirty
 * again before their turn are left to the next round (order.c says why).
 */
#ifndef XF_ORDER_H
#define XF_ORDER_H

#include <stdint.h>

#include "pages/bitmap.h"

struct xf_order {
    uint64_t nr_gfns;
    unsigned long *todo;  /* pages of this round that have not had their turn */
    unsigned long *again; /* pages known to be dirty again: the next round sends them anyway */
    uint8_t *heat;        /* one bit per round, newest on top */
    uint64_t left;        /* bits in todo */
    uint64_t skipped;     /* dropped because of `again`, since the start */
    unsigned bucket;      /* heat class being walked, 0 = coldest */
    uint64_t at;          /* next gfn to look at in it */
};

int xf_order_init(struct xf_order *o, uint64_t nr_gfns); /* -1: out of memory */
void xf_order_free(struct xf_order *o);

/* Begin a round with the pages in o->todo. `dirty` (may be NULL) are the pages that the guest
 * wrote since the last round began: they become hotter. */
void xf_order_begin(struct xf_order *o, const unsigned long *dirty);

/*
 * The next pages of the round, ascending, at most max; 0: the round is done. With skip_again, pages
 * in o->again (which the caller fills by peeking at the dirty log) are skipped.
 */
unsigned xf_order_next(struct xf_order *o, uint64_t *gfns, unsigned max, bool skip_again);

#endif
