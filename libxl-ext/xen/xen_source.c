/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A running Xen domain as the engine sees it at the source: see xen_source.h. */
#include "libxl-ext/xen/xen_source.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xen/hvm/params.h>

#include "libxl-ext/xen/guest_kind.h"
#include "libxl-ext/xen/guest_size.h"
#include "libxl-ext/xen/qdisk.h"
#include "libxl-ext/xen/qmp_commands.h"
#include "libxl-ext/xen/static_state.h"
#include "libxl-ext/xen/domain_here.h"
#include "libxl-ext/xen/xen_view.h"
#include "pages/bitmap.h"
#include "qmp/qmp.h"

#define MONITOR_MS 5000

/*
 * Exported by libxenctrl without a public prototype (tools/libs/ctrl/xc_private.c:
 * XEN_DOMCTL_getpageframeinfo3). In: gfns; out: types in the top bits. At most 1024.
 */
int xc_get_pfn_type_batch(xc_interface *xch, uint32_t dom, unsigned int num, xen_pfn_t *arr);

static struct xf_xen_source *of(struct xf_source_vm *vm)
{
    return (struct xf_xen_source *)vm;
}

static int view_open(struct xf_source_vm *vm, struct xf_view **out, struct xf_err *err)
{
    struct xf_xen_source *x = of(vm);

    return xf_xen_view_open(x->log, x->domid, out, err);
}

static int classify(struct xf_view *v, const uint64_t *gfns, unsigned n, uint8_t *ram,
                    struct xf_err *err)
{
    xf_xen_view_fill(v, gfns, n);
    if (xc_get_pfn_type_batch(v->xch, v->domid, n, v->pfns))
        return xf_fail(err, errno, "cannot read page types of domain %u: %s", v->domid,
                       strerror(errno));
    for (unsigned i = 0; i < n; i++) {
        xen_pfn_t type = v->pfns[i] & XEN_DOMCTL_PFINFO_LTAB_MASK;

        /* XTAB: hole, ballooned out, or a page of Xen's own. BROKEN: the guest has lost its content
         * too; a move need not provide another. XALLOC does not occur here. */
        ram[i] = type != XEN_DOMCTL_PFINFO_XTAB && type != XEN_DOMCTL_PFINFO_BROKEN &&
                 type != XEN_DOMCTL_PFINFO_XALLOC;
    }
    return 0;
}

/* Dying counts as gone: its pages are being freed. */
static int look_up(xc_interface *xch, uint32_t domid, xc_domaininfo_t *info, struct xf_err *err)
{
    if (xf_domain_info(xch, domid, info) || (info->flags & XEN_DOMINF_dying))
        return xf_fail(err, ESRCH, "domain %u was destroyed here", domid);
    return 0;
}

static int map(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_map *m,
               struct xf_err *err)
{
    xc_domaininfo_t info;
    unsigned i = 0;

    xf_xen_view_fill(v, gfns, n);
    m->n = n;
    m->base = xenforeignmemory_map(v->fmem, v->domid, PROT_READ, n, v->pfns, m->err);
    if (!m->base)
        return xf_fail(err, errno, "cannot map memory of domain %u: %s", v->domid, strerror(errno));
    xf_xen_view_mapped(m);
    while (i < n && !m->err[i])
        i++;
    /* A page that cannot be mapped is a hole, and in PULL a hole is zeros to the running guest. The
     * pages of a domain that has been destroyed cannot be mapped either. A domain is dying before
     * its first page is freed, so asking now is not too early. */
    if (i == n || !look_up(v->xch, v->domid, &info, err))
        return 0;
    xf_xen_view_unmap(v, m);
    return -1;
}

static int log_start(struct xf_source_vm *vm, struct xf_err *err)
{
    struct xf_xen_source *x = of(vm);
    int rc;

    /* First, so that from the log's first moment on no write is missed. */
    if (x->kind->log_writes && x->kind->log_writes(vm, true, err))
        return -1;
    rc = xc_shadow_control(x->xch, x->domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0);
    /* Already on: left behind by a killed tool, since CHECK found nobody else working on the domain
     * and we hold its lock. Stock xl does the same. */
    if (rc < 0 && errno == EINVAL) {
        xc_shadow_control(x->xch, x->domid, XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0);
        rc = xc_shadow_control(x->xch, x->domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0);
    }
    if (rc < 0)
        return xf_fail(err, errno, "cannot turn on the dirty log of domain %u: %s", x->domid,
                       strerror(errno));
    return 0;
}

static int log_read(struct xf_source_vm *vm, enum xf_log_read how, unsigned long *bitmap,
                    struct xf_err *err)
{
    struct xf_xen_source *x = of(vm);
    /* LAST only peeks: the guest no longer runs, and a CLEAN would write-protect everything
     * again. */
    unsigned op = how == XF_LOG_CLEAN ? XEN_DOMCTL_SHADOW_OP_CLEAN : XEN_DOMCTL_SHADOW_OP_PEEK;
    unsigned mode = how == XF_LOG_LAST ? XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL : 0;
    long long got;
    DECLARE_HYPERCALL_BUFFER_SHADOW(unsigned long, bits, &x->bits);

    got =
        xc_logdirty_control(x->xch, x->domid, op, HYPERCALL_BUFFER(bits), vm->nr_gfns, mode, NULL);
    if (got < 0)
        return xf_fail(err, errno, "cannot read the dirty log of domain %u: %s", x->domid,
                       strerror(errno));
    if ((uint64_t)got < vm->nr_gfns)
        return xf_fail(err, EIO, "Xen's dirty log covers %lld of %llu pages", got,
                       (unsigned long long)vm->nr_gfns);
    memcpy(bitmap, bits, xf_bitmap_words(vm->nr_gfns) * sizeof(*bitmap));
    return 0;
}

static void log_stop(struct xf_source_vm *vm)
{
    struct xf_xen_source *x = of(vm);

    xc_shadow_control(x->xch, x->domid, XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0);
    if (x->kind->log_writes)
        x->kind->log_writes(vm, false, NULL);
}

static int domain_info(struct xf_xen_source *x, xc_domaininfo_t *info, struct xf_err *err)
{
    return look_up(x->xch, x->domid, info, err);
}

static int population(struct xf_source_vm *vm, uint64_t *pages, struct xf_err *err)
{
    xc_domaininfo_t info;

    if (domain_info(of(vm), &info, err))
        return -1;
    *pages = info.tot_pages;
    return 0;
}

static int target(struct xf_source_vm *vm, uint64_t *kib, struct xf_err *err)
{
    struct xf_xen_source *x = of(vm);

    if (libxl_get_memory_target(x->ctx, x->domid, kib))
        return xf_fail(err, EIO, "cannot read the memory target of domain %u", x->domid);
    return 0;
}

/* Nobody listens where its device model did. One that it never had leaves no socket. */
static bool device_model_ended(uint32_t domid)
{
    struct xf_qmp q = XF_QMP_CLOSED;
    struct xf_err why = {0};
    bool ended = xf_qmp_open_domain(&q, domid, MONITOR_MS, &why) && why.num == ECONNREFUSED;

    xf_qmp_close(&q);
    return ended;
}

/*
 * The copy's QEMU announces its emulated interfaces as soon as it has its state, which is before
 * GO: from then on the switches send the guest's frames there, and a guest that only answers would
 * be unreachable here for minutes. So this one announces them as well, for longer than the other
 * one does. A device model that cannot is no reason to fail.
 */
static void announce_emulated(uint32_t domid)
{
    struct xf_qmp q = XF_QMP_CLOSED;
    struct xf_err why = {0};

    if (!xf_qmp_open_domain(&q, domid, MONITOR_MS, &why))
        xf_qmp_announce(&q, &why);
    xf_qmp_close(&q);
}

int xf_xen_resume(libxl_ctx *ctx, struct xf_toollog *log, uint32_t domid, struct xf_err *err)
{
    char why[300];
    libxl_dominfo info;
    bool suspended, hvm;

    libxl_dominfo_init(&info);
    if (libxl_domain_info(ctx, &info, domid)) {
        libxl_dominfo_dispose(&info);
        return xf_fail(err, ESRCH, "domain %u is gone", domid);
    }
    suspended = info.shutdown && info.shutdown_reason == LIBXL_SHUTDOWN_REASON_SUSPEND;
    hvm = info.domain_type == LIBXL_DOMAIN_TYPE_HVM;
    libxl_dominfo_dispose(&info);
    if (!suspended)
        return xf_fail(err, EINVAL, "domain %u is not suspended", domid);
    /* suspend_cancel: the guest's suspend call returns 1, its frontends stay connected. */
    if (!libxl_domain_resume(ctx, domid, 1, NULL)) {
        if (hvm)
            announce_emulated(domid);
        return 0;
    }
    /* libxl has QEMU run on first (libxl__domain_resume(), tools/libs/light/libxl_dom_suspend.c).
     */
    if (device_model_ended(domid))
        return xf_fail(
            err, EIO,
            "domain %u cannot be resumed, since its device model has ended, as after any "
            "end of it; its disks are as it left them: `xl destroy %u`, then start it again",
            domid, domid);
    return xf_fail(err, EIO, "cannot resume domain %u: %s", domid,
                   xf_toollog_last(log, why, sizeof(why)));
}

static int resume(struct xf_source_vm *vm, struct xf_err *err)
{
    struct xf_xen_source *x = of(vm);

    if (!x->asked)
        return xf_fail(err, EBUSY, "it is suspended, and not by this move");
    x->may_stop = false;
    /* Xen counts this apart from the suspend, so the guest does not run in between. */
    if (x->unpaused && !xc_domain_pause(x->xch, x->domid))
        x->unpaused = false;
    return x->kind ? x->kind->resume(vm, err) : xf_xen_resume(x->ctx, x->log, x->domid, err);
}

static int state(struct xf_source_vm *vm, struct xf_state *s, struct xf_err *err)
{
    struct xf_xen_source *x = of(vm);

    if (x->flush_ms && xf_qdisks_flush_end(x->disks, x->flush_ms, err))
        return -1;
    if (x->before_state && x->before_state(x->priv, err))
        return -1;
    return x->kind->state(vm, s, err);
}

static int alive(struct xf_source_vm *vm, struct xf_err *err)
{
    enum xf_here here = xf_xen_here(of(vm)->xch, of(vm)->domid);

    /* A paused guest may be unpaused before it has to answer; suspend() checks again. */
    if (xf_here_lives(here))
        return 0;
    return xf_fail(err, here == XF_HERE_SUSPENDED ? EBUSY : ESRCH, "the guest %s",
                   xf_here_text(here));
}

static bool suspended(struct xf_source_vm *vm)
{
    return xf_xen_here(of(vm)->xch, of(vm)->domid) == XF_HERE_SUSPENDED;
}

/*
 * A domain that was resumed and suspended again looks as before, but its CPU time has grown, which
 * stands still while it is suspended (reading the last dirty log has waited until none of its vCPUs
 * runs).
 */
static int untouched(struct xf_source_vm *vm, struct xf_view *v, struct xf_err *err)
{
    struct xf_xen_source *x = of(vm);
    uint64_t before = UINT64_MAX;
    xc_domaininfo_t info;

    if (look_up(v->xch, v->domid, &info, err))
        return -1;
    if (xf_here_of(&info) == XF_HERE_SUSPENDED &&
        (atomic_compare_exchange_strong(&x->ran_ns, &before, info.cpu_time) ||
         before == info.cpu_time))
        return 0;
    /* Only once: Xen counts pauses. */
    if (!atomic_exchange(&x->paused, true))
        xc_domain_pause(v->xch, v->domid);
    return xf_fail(err, EBUSY,
                   "domain %u, which lay suspended here, was resumed by somebody; it is "
                   "paused now",
                   v->domid);
}

uint64_t xf_xen_source_ran(struct xf_xen_source *x)
{
    struct xf_view v = {.domid = x->domid, .xch = x->xch};
    struct xf_err err = {0};

    return untouched(&x->vm, &v, &err) ? 0 : x->ran_ns;
}

void xf_xen_source_set_ran(struct xf_xen_source *x, uint64_t ns)
{
    x->ran_ns = ns ? ns : UINT64_MAX;
}

/* Without the operations that depend on the kind of guest. */
static const struct xf_source_ops any_kind = {
    .view_open = view_open,
    .view_close = xf_xen_view_close,
    .classify = classify,
    .map = map,
    .unmap = xf_xen_view_unmap,
    .log_start = log_start,
    .log_read = log_read,
    .log_stop = log_stop,
    .population = population,
    .target = target,
    .alive = alive,
    .suspended = suspended,
    .untouched = untouched,
};

/* Find the pages that a restore clears or that belong to a connection: xenstore's and the console's
 * rings, ioreq pages, vm_event rings (tools/libs/guest/xg_sr_restore_x86_hvm.c). */
static int find_rings(struct xf_xen_source *x, struct xf_err *err)
{
    struct xf_param params[XF_PARAMS_MAX];
    uint32_t n = 0;

    if (xf_read_params(x->xch, x->domid, params, &n, err))
        return -1;
    x->vm.rings = x->rings;
    x->vm.nr_rings =
        x->kind->rings(params, n, x->vm.nr_gfns, x->rings, sizeof(x->rings) / sizeof(x->rings[0]));
    return 0;
}

/* CHECK refuses a guest whose address space is too large, but it may have grown since. */
static int read_size(struct xf_xen_source *x, struct xf_err *err)
{
    xc_domaininfo_t info;
    xen_pfn_t nr = 0;

    if (domain_info(x, &info, err))
        return -1;
    if (xc_domain_nr_gpfns(x->xch, x->domid, &nr) < 0 || !nr)
        return xf_fail(err, errno, "cannot read the size of domain %u: %s", x->domid,
                       strerror(errno));
    if (nr > xf_gfn_limit(info.max_pages * (XC_PAGE_SIZE / 1024)))
        return xf_fail(err, EFBIG,
                       "domain %u has mapped something at gfn 0x%llx, far above its memory; shut "
                       "it down and start it again",
                       x->domid, (unsigned long long)nr - 1);
    x->vm.nr_gfns = nr;
    return 0;
}

int xf_xen_source_open(struct xf_xen_source *x, libxl_ctx *ctx, struct xf_toollog *log,
                       uint32_t domid, const struct xf_guest_kind_ops *kind, struct xf_err *err)
{
    DECLARE_HYPERCALL_BUFFER(unsigned long, bits);

    *x = (struct xf_xen_source){.vm.ops = &x->ops,
                                .ops = any_kind,
                                .kind = kind,
                                .domid = domid,
                                .ctx = ctx,
                                .log = log,
                                .monitor = XF_QMP_CLOSED,
                                .ran_ns = UINT64_MAX};
    if (kind) {
        x->ops.suspend = kind->suspend;
        x->ops.resume = resume;
        x->ops.state = state;
        x->ops.eager = kind->eager;
    }
    x->xch = xc_interface_open(&log->vtable, &log->vtable, 0);
    if (!x->xch)
        return xf_fail(err, errno, "cannot open Xen's privileged interface: %s", strerror(errno));
    if (read_size(x, err) || (kind && find_rings(x, err)))
        goto fail;
    /* Whole longs; one page more than the bits need does no harm. */
    x->bits_pages = (x->vm.nr_gfns / 8 + XC_PAGE_SIZE) / XC_PAGE_SIZE;
    bits = xc_hypercall_buffer_alloc_pages(x->xch, bits, x->bits_pages);
    if (!bits) {
        xf_fail(err, ENOMEM, "out of memory for the dirty bitmap");
        goto fail;
    }
    memset(bits, 0, x->bits_pages * XC_PAGE_SIZE);
    x->bits = *HYPERCALL_BUFFER(bits);
    return 0;
fail:
    xc_interface_close(x->xch);
    x->xch = NULL;
    return -1;
}

int xf_xen_source_open_bare(struct xf_xen_source *x, libxl_ctx *ctx, struct xf_toollog *log,
                            uint32_t domid, const struct xf_guest_kind_ops *kind,
                            struct xf_err *err)
{
    *x = (struct xf_xen_source){
        .vm.ops = &x->ops,
        .ops = {.resume = resume, .alive = alive, .suspended = suspended},
        .kind = kind,
        .domid = domid,
        .ctx = ctx,
        .log = log,
        .monitor = XF_QMP_CLOSED,
        .ran_ns = UINT64_MAX,
    };
    x->xch = xc_interface_open(&log->vtable, &log->vtable, 0);
    if (!x->xch)
        return xf_fail(err, errno, "cannot open Xen's privileged interface: %s", strerror(errno));
    return 0;
}

void xf_xen_source_close(struct xf_xen_source *x)
{
    if (!x->xch)
        return;
    xf_qmp_close(&x->monitor);
    DECLARE_HYPERCALL_BUFFER_SHADOW(unsigned long, bits, &x->bits);
    if (x->bits_pages)
        xc_hypercall_buffer_free_pages(x->xch, bits, x->bits_pages);
    xc_interface_close(x->xch);
    x->xch = NULL;
}
