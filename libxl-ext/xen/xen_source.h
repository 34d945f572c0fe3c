/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A running Xen domain as the engine sees it at the source (pages/vm.h). */
#ifndef XF_XEN_SOURCE_H
#define XF_XEN_SOURCE_H

#include <libxl.h>
#include <xenctrl.h>

#include "libxl-ext/xen/toollog.h"
#include "pages/vm.h"

struct xf_guest_kind_ops; /* guest_kind.h */
struct xf_qdisks;         /* qdisk.h */

struct xf_xen_source {
    struct xf_source_vm vm;   /* first: the engine sees only this */
    struct xf_source_ops ops; /* vm.ops: those of every domain, and those of its kind */
    const struct xf_guest_kind_ops *kind;
    uint32_t domid;
    libxl_ctx *ctx;             /* the caller's */
    struct xf_toollog *log;     /* the caller's */
    xc_interface *xch;          /* the control thread's */
    xc_hypercall_buffer_t bits; /* the dirty bitmap Xen writes to */
    size_t bits_pages;
    uint64_t rings[128];
    /* PULL; any thread. What the guest's processors had run when it was first asked about, which
     * must not grow; UINT64_MAX: not asked yet. And whether it has been paused for having run. */
    _Atomic uint64_t ran_ns;
    _Atomic bool paused;
    bool asked; /* to suspend, by us: then it is ours to resume */
    /* The guest has taken a suspend request that was given up, and may still suspend
     * (xen_suspend.h). */
    bool may_stop;
    struct xf_qdisks *disks; /* the caller's; their last flush begins with the suspend. NULL */
};

/*
 * Attach to a domain of this kind. ctx and log must outlive it. Nothing is changed in the guest.
 * kind NULL: it is suspended already, and only PULL is asked for, which is the same for all: there
 * is no suspend, resume, state nor eager then, and no rings are known. After -1 nothing needs to be
 * closed.
 */
int xf_xen_source_open(struct xf_xen_source *x, libxl_ctx *ctx, struct xf_toollog *log,
                       uint32_t domid, const struct xf_guest_kind_ops *kind, struct xf_err *err);
void xf_xen_source_close(struct xf_xen_source *x);

/* What its processors had run when PULL began, for untouched(); 0: not known. The one that runs the
 * move knows once the guest runs elsewhere, a successor is told by its record. */
uint64_t xf_xen_source_ran(struct xf_xen_source *x);
void xf_xen_source_set_ran(struct xf_xen_source *x, uint64_t ns);

/* Resume a domain that is suspended here, as if its suspend had been cancelled. Refuses one
 * that is not suspended: it would get registers of another moment. */
int xf_xen_resume(libxl_ctx *ctx, struct xf_toollog *log, uint32_t domid, struct xf_err *err);

#endif
