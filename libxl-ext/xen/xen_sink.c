/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A paused Xen domain whose memory is being filled: see xen_sink.h. */
#include "libxl-ext/xen/xen_sink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xenstore.h>
#include <xen/hvm/params.h>

#include "libxl-ext/xen/domain_here.h"
#include "libxl-ext/xen/guest_kind.h"
#include "libxl-ext/xen/xen_view.h"

#define LARGE_ORDER 9 /* XF_LARGE_PAGES */

static struct xf_xen_sink *of(struct xf_sink_vm *vm)
{
    return (struct xf_xen_sink *)vm;
}

static int view_open(struct xf_sink_vm *vm, struct xf_view **out, struct xf_err *err)
{
    struct xf_xen_sink *x = of(vm);

    if (xf_xen_view_open(x->log, x->domid, out, err))
        return -1;
    if (!x->pager)
        return 0;
    (*out)->pager = x->pager;
    if (!xf_paging_open(&(*out)->paging, x->log, x->domid, err))
        return 0;
    xf_xen_view_close(*out);
    *out = NULL;
    return -1;
}

static int populate(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_err *err)
{
    xf_xen_view_fill(v, gfns, n);
    if (xc_domain_populate_physmap_exact(v->xch, v->domid, n, 0, 0, v->pfns))
        return xf_fail(err, ENOMEM,
                       "out of memory for the guest (%u more pages were refused); free memory "
                       "there or raise the domain's limit",
                       n);
    return 0;
}

static int populate_large(struct xf_view *v, uint64_t first)
{
    xen_pfn_t pfn = first;

    return xc_domain_populate_physmap(v->xch, v->domid, 1, LARGE_ORDER, 0, &pfn) == 1 ? 0
                                                                                      : XF_AGAIN;
}

static int depopulate(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_err *err)
{
    xf_xen_view_fill(v, gfns, n);
    if (xc_domain_decrease_reservation_exact(v->xch, v->domid, n, 0, v->pfns))
        return xf_fail(err, errno ? errno : EIO, "cannot take back %u ballooned pages", n);
    return 0;
}

static int map(struct xf_view *v, const uint64_t *gfns, unsigned n, bool fill, struct xf_map *m,
               struct xf_err *err)
{
    (void)fill; /* a foreign mapping costs the same */
    xf_xen_view_fill(v, gfns, n);
    m->n = n;
    m->base = xenforeignmemory_map(v->fmem, v->domid, PROT_READ | PROT_WRITE, n, v->pfns, m->err);
    if (!m->base)
        return xf_fail(err, errno, "cannot map memory of the new domain %u: %s", v->domid,
                       strerror(errno));
    xf_xen_view_mapped(m);
    for (unsigned i = 0; i < n; i++) {
        if (!m->err[i])
            continue;
        xenforeignmemory_unmap(v->fmem, m->base, n);
        m->base = NULL;
        return xf_fail(err, EFAULT, "cannot map gfn 0x%llx of the new domain %u: %s",
                       (unsigned long long)gfns[i], v->domid, strerror(abs(m->err[i])));
    }
    return 0;
}

/*
 * The video memory, KiB, which libxl takes out of a target that it is given and does not add to the
 * one it reports (libxl_set_memory_target(), libxl_get_memory_target(),
 * tools/libs/light/libxl_mem.c): without it the copy would shrink by that much at every change.
 */
static int video_kib(uint32_t domid, uint64_t *kib, struct xf_err *err)
{
    struct xs_handle *xs = xs_open(0);
    char path[64], *text;
    unsigned len;

    if (!xs)
        return xf_fail(err, errno, "cannot reach xenstore: %s", strerror(errno));
    snprintf(path, sizeof(path), "/local/domain/%u/memory/videoram", domid);
    text = xs_read(xs, XBT_NULL, path, &len);
    *kib = text ? strtoull(text, NULL, 10) : 0;
    free(text);
    xs_close(xs);
    return 0;
}

static int set_target(struct xf_sink_vm *vm, uint64_t kib, struct xf_err *err)
{
    struct xf_xen_sink *x = of(vm);
    uint64_t video = 0;
    char why[300];

    if (video_kib(x->domid, &video, err))
        return -1;
    kib += video;
    /* enforce: also sets Xen's own limit for the domain; otherwise no page could be added. */
    if (libxl_set_memory_target(x->ctx, x->domid, (int64_t)kib, 0, 1))
        return xf_fail(err, ENOMEM, "cannot set the memory target to %llu KiB: %s",
                       (unsigned long long)kib, xf_toollog_last(x->log, why, sizeof(why)));
    return 0;
}

/* Without the operations that depend on the kind of guest. */
static const struct xf_sink_ops any_kind = {
    .view_open = view_open,
    .view_close = xf_xen_view_close,
    .populate = populate,
    .populate_large = populate_large,
    .depopulate = depopulate,
    .map = map,
    .unmap = xf_xen_view_unmap,
    .set_target = set_target,
};

int xf_xen_sink_open(struct xf_xen_sink *x, libxl_ctx *ctx, struct xf_toollog *log, uint32_t domid,
                     const struct xf_guest_kind_ops *kind, struct xf_err *err)
{
    *x = (struct xf_xen_sink){
        .vm.ops = &x->ops, .ops = any_kind, .domid = domid, .ctx = ctx, .log = log};
    x->ops.load_state = kind->load_state;
    x->ops.load_devices = kind->load_devices;
    x->ops.run = kind->run;
    x->xch = xc_interface_open(&log->vtable, &log->vtable, 0);
    if (!x->xch)
        return xf_fail(err, errno, "cannot open Xen's privileged interface: %s", strerror(errno));
    return 0;
}

int xf_xen_sink_claim(struct xf_xen_sink *x, uint64_t nr_pages, struct xf_err *err)
{
    xc_domaininfo_t info;

    if (xf_domain_info(x->xch, x->domid, &info))
        return xf_fail(err, ESRCH, "the new domain %u is gone", x->domid);
    /* A claim above the domain's limit, or no larger than what it already has, is EINVAL
     * (domain_set_outstanding_pages, xen/common/page_alloc.c). */
    if (nr_pages > info.max_pages)
        nr_pages = info.max_pages;
    if (nr_pages <= info.tot_pages)
        return 0;
    if (!xc_domain_claim_pages(x->xch, x->domid, nr_pages)) {
        x->claimed = nr_pages;
        return 0;
    }
    return xf_fail(err, errno, "not enough free memory for %llu MiB of guest: %s",
                   (unsigned long long)(nr_pages >> 8), strerror(errno));
}

void xf_xen_sink_close(struct xf_xen_sink *x)
{
    if (!x->xch)
        return;
    if (x->claimed)
        xc_domain_claim_pages(x->xch, x->domid, 0);
    xc_interface_close(x->xch);
    x->xch = NULL;
}
