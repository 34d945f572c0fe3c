/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Large pages at the destination: a range of XF_LARGE_PAGES gfns that is whole at the source gets
 * its memory at once, in one large page, when the first page of it arrives; the others are written
 * into it later. A range that loses a page before that, or of which Xen has built a page already,
 * gets small pages like all other memory, and so does one for which Xen has no large page.
 */
#ifndef XF_LARGE_H
#define XF_LARGE_H

#include <pthread.h>
#include <stdatomic.h>

#include "pages/bitmap.h"
#include "pages/vm.h"
#include "transport/lock.h"

XF_LOCK_ROLE(large_lock);

struct xf_large {
    struct xf_sink_vm *vm;
    unsigned long *present;     /* the receivers': gfns that have memory. Atomic bits */
    const unsigned long *rings; /* theirs: gfns that are not the source's to send */
    pthread_mutex_t lock;       /* to populate a range; others that need it wait */
    /* A bit for each range that has no memory yet. Atomic bits, cleared under lock. */
    unsigned long *whole;
    _Atomic uint64_t left;  /* bits in whole */
    _Atomic uint64_t pages; /* that have memory in large pages */
};

/* -1: out of memory; xf_large_free() may be called in any case. */
int xf_large_init(struct xf_large *l, struct xf_sink_vm *vm, unsigned long *present,
                  const unsigned long *rings);
void xf_large_free(struct xf_large *l);

/* These gfns lie in ranges that are whole. EPROTO for a part of a range. One thread. */
int xf_large_add(struct xf_large *l, const struct xf_extents *set, struct xf_err *err);

/* Before the pages of a batch are sorted into those with memory and those without: populate the
 * ranges that it touches. Any thread, with a view of its own. */
void xf_large_touch(struct xf_large *l, struct xf_view *view, const struct xf_batch *b);

#endif
