/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One thread's access to a Xen domain's pages: see xen_view.h. */
#include "libxl-ext/xen/xen_view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void xf_xen_view_close(struct xf_view *v)
{
    xf_paging_close(&v->paging);
    if (v->fmem)
        xenforeignmemory_close(v->fmem);
    if (v->xch)
        xc_interface_close(v->xch);
    free(v);
}

int xf_xen_view_open(struct xf_toollog *log, uint32_t domid, struct xf_view **out,
                     struct xf_err *err)
{
    struct xf_view *v = calloc(1, sizeof(*v));

    if (!v)
        return xf_fail(err, ENOMEM, "out of memory");
    v->domid = domid;
    v->xch = xc_interface_open(&log->vtable, &log->vtable, 0);
    v->fmem = xenforeignmemory_open(&log->vtable, 0);
    if (!v->xch || !v->fmem) {
        xf_fail(err, errno, "cannot open Xen's privileged interface: %s", strerror(errno));
        xf_xen_view_close(v);
        return -1;
    }
    *out = v;
    return 0;
}

void xf_xen_view_fill(struct xf_view *v, const uint64_t *gfns, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        v->pfns[i] = gfns[i];
}

void xf_xen_view_mapped(struct xf_map *m)
{
    for (unsigned i = 0; i < m->n; i++)
        m->page[i] = m->base + (size_t)i * XF_PAGE_SIZE;
}

void xf_xen_view_unmap(struct xf_view *v, struct xf_map *m)
{
    if (m->base)
        xenforeignmemory_unmap(v->fmem, m->base, m->n);
    m->base = NULL;
}
