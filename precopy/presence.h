/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which gfns have memory, round by round. Needed because Xen's dirty log does not show it: a page
 * that a running guest balloons in is neither marked dirty nor logged when it is written, until the
 * next CLEAN (docs/xen-notes.md), and a page that it balloons out leaves no mark at all.
 */
#ifndef XF_PRESENCE_H
#define XF_PRESENCE_H

#include "pages/bitmap.h"
#include "pages/vm.h"
#include "transport/tick.h"

struct xf_presence {
    struct xf_source_vm *vm;
    struct xf_tick tick; /* set by the caller after init; called while pages are examined */
    struct xf_view *view;
    unsigned long *now;    /* as of the last sweep */
    unsigned long *before; /* as of the one before */
    unsigned long *fresh;  /* appeared in the last sweep: writes to them were not logged */
    unsigned long *ever;   /* one bit per chunk of XF_BATCH_PAGES gfns: ever had a page */
    unsigned long *looked; /* one bit per chunk: examined in this sweep */
    uint64_t present;      /* bits in now */
    uint64_t extra;        /* pages the guest owns beyond `present` (first sweep) */
    uint64_t population;   /* when the last sweep began */
    unsigned quiet;        /* sweeps in a row that found nothing changed */
    double last_sweep_s;
};

int xf_presence_init(struct xf_presence *p, struct xf_source_vm *vm, struct xf_err *err);
void xf_presence_free(struct xf_presence *p);

/* The first sweep: every gfn, until all pages the guest owns are found. Call before the dirty
 * log is on. */
int xf_presence_first(struct xf_presence *p, struct xf_err *err);

/*
 * Sweep again, after a CLEAN, and add to `todo` the gfns that must be sent although the log may not
 * name them: new pages, pages that were new at the previous sweep (they may have been written
 * unlogged until the CLEAN in between), and gfns that no longer have a page.
 */
int xf_presence_sweep(struct xf_presence *p, unsigned long *todo, struct xf_err *err);

/* Can the sweep after the suspend be skipped? Only if nothing has ballooned lately. */
int xf_presence_settled(struct xf_presence *p, double budget_s, bool *settled, struct xf_err *err);

/* Add the pages that were new at the last sweep to todo: SWITCH owes them when it does not
 * sweep. */
void xf_presence_owed(const struct xf_presence *p, unsigned long *todo);

#endif
