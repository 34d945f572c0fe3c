/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A running Xen domain as the engine sees it at the source (pages/vm.h). */
#ifndef XF_XEN_SOURCE_H
#define XF_XEN_SOURCE_H

#include <libxl.h>
#include <xenctrl.h>

#include "qmp/qmp.h"
#include "libxl-ext/xen/toollog.h"
#include "pages/vm.h"

struct xf_guest_kind_ops; /* guest_kind.h */
struct xf_qdisks;         /* qdisk.h */

struct xf_xen_source {
    struct xf_source_vm vm;   /* first: the engine sees only this */
    struct xf_source_ops ops; /* vm.ops: those common to all domains, and those of its kind */
    const struct xf_guest_kind_ops *kind;
    uint32_t domid;
    libxl_ctx *ctx;             /* the caller's */
    struct xf_toollog *log;     /* the caller's */
    xc_interface *xch;          /* the control thread's */
    xc_hypercall_buffer_t bits; /* the dirty bitmap Xen writes to */
    size_t bits_pages;
    uint64_t rings[128];
    /* PULL; any thread. CPU time of the guest's processors when first read, which must not grow;
     * UINT64_MAX: not read yet. And whether the guest was paused because it had run. */
    _Atomic uint64_t ran_ns;
    _Atomic bool paused;
    bool asked; /* we asked it to suspend, so resuming it is up to us */
    /* The guest accepted a suspend request that was given up, and may still suspend
     * (xen_suspend.h). */
    bool may_stop;
    /* The caller sets it: the guest was paused when the move began, and stays paused wherever it
     * ends up. And whether it was unpaused for its suspend, so that the pause is to be restored. */
    bool keep_paused, unpaused;
    /* A kind with a device model; guest_hvm.c only. */
    struct xf_qmp monitor;     /* QEMU's; open from suspend to state */
    bool restricted;           /* the caller sets it: QEMU cannot open files (dm_restrict=1) */
    bool early;                /* the caller sets it: the copy's QEMU was started before its RAM */
    uint64_t ram_low, ram_end; /* the caller sets them: where its RAM is (xf_hvm_ram()) */
    struct xf_qdisks *disks;   /* the caller's, or NULL; their last flush begins with the suspend */
    /* The caller sets them, or NULL, for disks that move: called when the guest has suspended; and
     * before its state is read, which for a QEMU means that it gives up its images. The latter may
     * use QEMU's monitor, if it closes `monitor`. */
    void (*on_suspended)(void *priv);
    int (*before_state)(void *priv, struct xf_err *err);
    void *priv;   /* of these */
    int flush_ms; /* the caller sets it: time for that before the state is read, because the copy
                   * opens the images when it gets it; 0: it need not have ended by then */
};

/*
 * Attach to a domain of this kind. ctx and log must outlive it. Changes nothing in the guest. kind
 * NULL: it is already suspended and only PULL is needed, which is the same for all kinds: suspend,
 * resume, state and eager are absent, and no rings are known. After -1 there is nothing to close.
 */
int xf_xen_source_open(struct xf_xen_source *x, libxl_ctx *ctx, struct xf_toollog *log,
                       uint32_t domid, const struct xf_guest_kind_ops *kind, struct xf_err *err);

/* The same for a move that neither reads the guest's memory nor its state itself, of any kind of
 * guest (kind NULL: one that has no operations): only resume, alive and suspended are there. */
int xf_xen_source_open_bare(struct xf_xen_source *x, libxl_ctx *ctx, struct xf_toollog *log,
                            uint32_t domid, const struct xf_guest_kind_ops *kind,
                            struct xf_err *err);
void xf_xen_source_close(struct xf_xen_source *x);

/* CPU time of its processors when PULL began, for untouched(); 0: not known. The process that runs
 * the move knows it once the guest runs elsewhere; a successor gets it from the record. */
uint64_t xf_xen_source_ran(struct xf_xen_source *x);
void xf_xen_source_set_ran(struct xf_xen_source *x, uint64_t ns);

/* Resume a domain that is suspended here, as if its suspend had been cancelled. Refuses one that is
 * not suspended: it would get outdated registers. */
int xf_xen_resume(libxl_ctx *ctx, struct xf_toollog *log, uint32_t domid, struct xf_err *err);

#endif
