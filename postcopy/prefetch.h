/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order in which the source pushes missing pages: adaptive pre-paging, after Hines and Gopalan
 * ("Post-copy live migration of virtual machines", 2009). A fault shows where the guest works now,
 * so a bubble of pages grows around it, more forwards than backwards, until the next fault moves
 * it. Several bubbles grow side by side, one for each working region; a stride that repeats (every
 * nth page) is followed. Without a bubble: linear.
 *
 * Pure logic, no clock, no guest. The caller holds a lock.
 */
#ifndef XF_PREFETCH_H
#define XF_PREFETCH_H

#include "pages/bitmap.h"

#define XF_BUBBLES 8u

struct xf_bubble {
    uint64_t lo, hi;  /* [lo, hi) has had its turn */
    uint64_t fault;   /* gfn of the last one */
    int64_t stride;   /* from the fault before it to this one */
    unsigned repeats; /* how often in a row the stride was the same */
    uint64_t ahead;   /* pages along the stride beyond the fault that had their turn */
    uint64_t given;   /* pages given out since the last fault */
    uint64_t when;    /* number of the last fault */
};

struct xf_prefetch {
    uint64_t nr_gfns;
    unsigned long *left; /* pages to be pushed; set bits before use, and count them in nr_left */
    uint64_t nr_left;
    struct xf_bubble bubbles[XF_BUBBLES];
    unsigned nr;     /* bubbles in use */
    uint64_t faults; /* so far */
    uint64_t at;     /* position of the linear walk */
    bool linear;     /* bubbles are off: for comparison */
};

int xf_prefetch_init(struct xf_prefetch *p, uint64_t nr_gfns); /* -1: out of memory */
void xf_prefetch_free(struct xf_prefetch *p);

/* The guest waits for this page. The caller sends it, and it is no longer left. */
void xf_prefetch_fault(struct xf_prefetch *p, uint64_t gfn);

/* The next pages to push, ascending, at most max; they are no longer left. 0: none is left. */
unsigned xf_prefetch_next(struct xf_prefetch *p, uint64_t *gfns, unsigned max);

#endif
