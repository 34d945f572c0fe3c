/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which gfns have memory, round by round. Needed because Xen's dirty log does not tell:
 * a page that a running guest balloons in is neither marked dirty nor caught when it is
 * written, until the next CLEAN (docs/xen-notes.md), and one that it balloons out leaves
 * no mark at all.
 */
#ifndef XF_PRESENCE_H
#define XF_PRESENCE_H

#include "pages/bitmap.h"
#include "pages/vm.h"
#include "transport/tick.h"

struct xf_presence {
    struct xf_source_vm *vm;
    struct xf_tick tick; /* the caller's to set after init: called by whatever looks at pages */
    struct xf_view *view;
    unsigned long *now;    /* as of the last sweep */
    unsigned long *before; /* as of the one before */
    unsigned long *fresh;  /* appeared in the last sweep: their writes were not logged */
    unsigned long *ever;   /* one bit per chunk of XF_BATCH_PAGES gfns: had a page once */
    unsigned long *looked; /* one bit per chunk: in this sweep */
    uint64_t present;      /* bits in now */
    uint64_t extra;        /* pages the guest owns beyond `present` (first sweep) */
    uint64_t population;   /* as of the last sweep's begin */
    unsigned quiet;        /* sweeps in a row that found nothing changed */
    double last_sweep_s;
};

int xf_presence_init(struct xf_presence *p, struct xf_source_vm *vm, struct xf_err *err);
void xf_presence_free(struct xf_presence *p);

/* The first look: every gfn, until all pages the guest owns are found. Before the dirty log
 * is on. */
int xf_presence_first(struct xf_presence *p, struct xf_err *err);

/*
 * Look again, after a CLEAN, and add to `todo` what must be sent although the log may not
 * say so: pages that are new, pages that were new at the sweep before (they may have been
 * written unlogged until the CLEAN in between), and gfns that have no page any more.
 */
int xf_presence_sweep(struct xf_presence *p, unsigned long *todo, struct xf_err *err);

/* May the sweep after the suspend be left out? Only when nothing has ballooned lately. */
int xf_presence_settled(struct xf_presence *p, double budget_s, bool *settled, struct xf_err *err);

/* Pages that were new at the last sweep, into todo: what SWITCH owes when it does not sweep. */
void xf_presence_owed(const struct xf_presence *p, unsigned long *todo);

#endif
