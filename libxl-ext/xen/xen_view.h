/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One thread's access to a Xen domain's pages, the same at both ends of a move: `struct xf_view`
 * (pages/vm.h) for Xen. Private to xen_source.c, xen_sink.c and xen_pager.c.
 */
#ifndef XF_XEN_VIEW_H
#define XF_XEN_VIEW_H

#include <xenctrl.h>
#include <xenforeignmemory.h>

#include "libxl-ext/xen/toollog.h"
#include "libxl-ext/xen/xen_paging.h"
#include "pages/vm.h"

struct xf_view {
    uint32_t domid;
    xc_interface *xch; /* one per thread: libxc's error state and buffer cache are per handle */
    xenforeignmemory_handle *fmem;
    struct xf_xen_pager *pager;  /* sink, post-copy: the domain's pager; NULL: none */
    struct xf_xen_paging paging; /* with a pager; else all zero */
    xen_pfn_t pfns[XF_BATCH_PAGES];
};

/* Opens handles for the calling thread. log must outlive the view. */
int xf_xen_view_open(struct xf_toollog *log, uint32_t domid, struct xf_view **out,
                     struct xf_err *err);
void xf_xen_view_close(struct xf_view *v);

/* Put n (at most XF_BATCH_PAGES) gfns into v->pfns, as libxc requires. */
void xf_xen_view_fill(struct xf_view *v, const uint64_t *gfns, unsigned n);
/* Fill in the addresses of m->n pages that lie side by side from m->base. */
void xf_xen_view_mapped(struct xf_map *m);
void xf_xen_view_unmap(struct xf_view *v, struct xf_map *m);

#endif
