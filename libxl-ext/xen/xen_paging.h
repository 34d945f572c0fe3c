/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Xen's paging operations (XENMEM_paging_op), many of them in one hypercall. libxenctrl makes a
 * separate system call for each, which is most of the cost of pages that nobody waits for. Private
 * to xen_pager.c and its tests.
 *
 * Each struct is used by one thread at a time.
 */
#ifndef XF_XEN_PAGING_H
#define XF_XEN_PAGING_H

#include <xencall.h>
#include <xenctrl.h>

#include "libxl-ext/xen/toollog.h"
#include "transport/err.h"
#include "transport/wire.h"

#define XF_PAGING_OPS 128u  /* in one hypercall, at most */
#define XF_PAGING_PAGES 32u /* of them, with a page's content */

struct xf_xen_paging {
    uint32_t domid;
    xencall_handle *xcall;
    /* Memory that Xen can always read and write, one allocation in this order. */
    uint8_t *pages; /* XF_PAGING_PAGES and one of zeros */
    multicall_entry_t *calls;
    xen_mem_paging_op_t *ops;
    unsigned nr, nr_pages; /* used since xf_paging_begin() */
};

/* log must outlive it. After -1 there is nothing to close. */
int xf_paging_open(struct xf_xen_paging *p, struct xf_toollog *log, uint32_t domid,
                   struct xf_err *err);
/* Idempotent; accepts an all-zero struct. */
void xf_paging_close(struct xf_xen_paging *p);

/* Begin a list of operations, which Xen will perform in order. */
void xf_paging_begin(struct xf_xen_paging *p);
/* Add an operation; there must be room. op: XENMEM_paging_op_nominate or _evict. */
void xf_paging_add(struct xf_xen_paging *p, uint8_t op, uint64_t gfn);
/* Add a prep with the page's content (copied; NULL: zeros). */
void xf_paging_add_load(struct xf_xen_paging *p, uint64_t gfn, const uint8_t *page);

/* Perform them. -1: Xen did not process the whole list; the operations it performed still have
 * their results. */
int xf_paging_run(struct xf_xen_paging *p, struct xf_err *err);
/* Result of the i-th operation: 0, its errno, or ECANCELED: Xen did not reach it. */
int xf_paging_result(const struct xf_xen_paging *p, unsigned i);

#endif
