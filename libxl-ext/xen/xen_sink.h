/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A paused Xen domain whose memory is being filled, as the engine sees it (pages/vm.h). */
#ifndef XF_XEN_SINK_H
#define XF_XEN_SINK_H

#include <libxl.h>
#include <xenctrl.h>

#include "libxl-ext/xen/toollog.h"
#include "pages/vm.h"

struct xf_guest_kind_ops; /* guest_kind.h */

struct xf_xen_sink {
    struct xf_sink_vm vm;   /* first: the engine sees only this */
    struct xf_sink_ops ops; /* vm.ops: those common to all domains, and those of its kind */
    uint32_t domid;
    bool leave_paused;
    bool late;              /* libxl has started its device model, perhaps without letting it run */
    libxl_ctx *ctx;         /* the caller's */
    struct xf_toollog *log; /* the caller's */
    xc_interface *xch;
    uint64_t claimed;           /* pages claimed for the domain, 0: none */
    struct xf_xen_pager *pager; /* set before the first view is opened; NULL: none */
    struct xf_device_model *dm; /* the caller's (device_model.h); NULL: its kind has none */
};

/* For a domain of this kind. ctx and log must outlive it. After -1 there is nothing to close. */
int xf_xen_sink_open(struct xf_xen_sink *x, libxl_ctx *ctx, struct xf_toollog *log, uint32_t domid,
                     const struct xf_guest_kind_ops *kind, struct xf_err *err);

/*
 * Reserve nr_pages of the host's memory for the domain, including those it already has, so that
 * nobody else takes what the guest will need. Fails with ENOMEM when there is not enough.
 */
int xf_xen_sink_claim(struct xf_xen_sink *x, uint64_t nr_pages, struct xf_err *err);

/* Gives up the claim and closes the handles; the domain is left unchanged. */
void xf_xen_sink_close(struct xf_xen_sink *x);

#endif
