/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order in which the source pushes what is missing: adaptive pre-paging, after Hines and
 * Gopalan ("Post-copy live migration of virtual machines", 2009). A fault is where the guest
 * works now, so a bubble of pages grows around it, forwards more than backwards, until the
 * next fault moves it. Several bubbles grow side by side, one for each place of work; a step
 * that repeats (every nth page) is followed. Without a bubble: linear.
 *
 * Pure logic, no clock, no guest. The caller has a lock around it.
 */
#ifndef XF_PREFETCH_H
#define XF_PREFETCH_H

#include "pages/bitmap.h"

#define XF_BUBBLES 8u

struct xf_bubble {
    uint64_t lo, hi;  /* [lo, hi) has had its turn */
    uint64_t fault;   /* the last one */
    int64_t stride;   /* from the fault before it to this one */
    unsigned repeats; /* how often in a row the stride was the same */
    uint64_t ahead;   /* pages on the stride's way beyond the fault that had their turn */
    uint64_t given;   /* pages given out since the last fault */
    uint64_t when;    /* of the last fault, in faults */
};

struct xf_prefetch {
    uint64_t nr_gfns;
    unsigned long *left; /* pages to be pushed; set bits before use, and count them in nr_left */
    uint64_t nr_left;
    struct xf_bubble bubbles[XF_BUBBLES];
    unsigned nr;     /* of them */
    uint64_t faults; /* so far */
    uint64_t at;     /* where the linear way stands */
    bool linear;     /* bubbles are off: for comparison */
};

int xf_prefetch_init(struct xf_prefetch *p, uint64_t nr_gfns); /* -1: out of memory */
void xf_prefetch_free(struct xf_prefetch *p);

/* Somebody waits for this page. It is sent by the caller and no longer left. */
void xf_prefetch_fault(struct xf_prefetch *p, uint64_t gfn);

/* The next pages to push, ascending, at most max; no longer left. 0: none is. */
unsigned xf_prefetch_next(struct xf_prefetch *p, uint64_t *gfns, unsigned max);

#endif
