/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Paging operations in multicalls: see xen_paging.h. Xen performs the entries of a multicall in
 * order and checks between them for more urgent work (do_multicall(), xen/common/multicall.c); a
 * failed operation does not end it.
 */
#include "libxl-ext/xen/xen_paging.h"

#include <errno.h>
#include <string.h>

#include <xen/memory.h>

#define PAGES_LEN ((XF_PAGING_PAGES + 1) * (size_t)XF_PAGE_SIZE)
#define CALLS_LEN (XF_PAGING_OPS * sizeof(multicall_entry_t))
#define OPS_LEN (XF_PAGING_OPS * sizeof(xen_mem_paging_op_t))
#define NR_PAGES ((PAGES_LEN + CALLS_LEN + OPS_LEN + XF_PAGE_SIZE - 1) / XF_PAGE_SIZE)

int xf_paging_open(struct xf_xen_paging *p, struct xf_toollog *log, uint32_t domid,
                   struct xf_err *err)
{
    *p = (struct xf_xen_paging){.domid = domid};
    p->xcall = xencall_open(&log->vtable, 0);
    if (!p->xcall)
        return xf_fail(err, errno, "cannot open Xen's hypercall interface: %s", strerror(errno));
    p->pages = xencall_alloc_buffer_pages(p->xcall, NR_PAGES); /* zeroed */
    if (!p->pages) {
        xf_paging_close(p);
        return xf_fail(err, ENOMEM, "out of memory for paging operations");
    }
    p->calls = (multicall_entry_t *)(p->pages + PAGES_LEN);
    p->ops = (xen_mem_paging_op_t *)(p->pages + PAGES_LEN + CALLS_LEN);
    return 0;
}

void xf_paging_close(struct xf_xen_paging *p)
{
    if (!p->xcall)
        return;
    if (p->pages)
        xencall_free_buffer_pages(p->xcall, p->pages, NR_PAGES);
    xencall_close(p->xcall);
    *p = (struct xf_xen_paging){0};
}

void xf_paging_begin(struct xf_xen_paging *p)
{
    p->nr = p->nr_pages = 0;
}

static void add(struct xf_xen_paging *p, uint8_t op, uint64_t gfn, const uint8_t *page)
{
    xen_mem_paging_op_t *o = &p->ops[p->nr];

    memset(o, 0, sizeof(*o));
    o->op = op;
    o->domain = (domid_t)p->domid;
    o->gfn = gfn;
    set_xen_guest_handle_raw(o->buffer, page);
    p->calls[p->nr++] = (multicall_entry_t){
        .op = __HYPERVISOR_memory_op,
        .result = (xen_ulong_t)-ECANCELED,
        .args = {XENMEM_paging_op, (xen_ulong_t)(uintptr_t)o},
    };
}

void xf_paging_add(struct xf_xen_paging *p, uint8_t op, uint64_t gfn)
{
    add(p, op, gfn, NULL);
}

void xf_paging_add_load(struct xf_xen_paging *p, uint64_t gfn, const uint8_t *page)
{
    uint8_t *at = p->pages + XF_PAGING_PAGES * (size_t)XF_PAGE_SIZE; /* zeros, never written */

    if (page) {
        at = p->pages + p->nr_pages++ * (size_t)XF_PAGE_SIZE;
        memcpy(at, page, XF_PAGE_SIZE);
    }
    add(p, XENMEM_paging_op_prep, gfn, at);
}

int xf_paging_run(struct xf_xen_paging *p, struct xf_err *err)
{
    if (!p->nr || !xencall2(p->xcall, __HYPERVISOR_multicall, (uint64_t)(uintptr_t)p->calls, p->nr))
        return 0;
    return xf_fail(err, errno ? errno : EIO, "Xen did not take a list of paging operations: %s",
                   strerror(errno));
}

int xf_paging_result(const struct xf_xen_paging *p, unsigned i)
{
    long rc = (long)p->calls[i].result;

    return rc < 0 ? (int)-rc : 0;
}
