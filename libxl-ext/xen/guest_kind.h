/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The operations of a move that depend on the kind of guest, like those of Xen's own save and
 * restore per guest type (struct xc_sr_save_ops, xc_sr_restore_ops in
 * tools/libs/guest/xg_sr_common.h). All else about a domain is the same for every kind:
 * xen_source.h, xen_sink.h.
 *
 * A kind is chosen by the type in the domain's configuration: at the source in CHECK, at the
 * destination when that configuration arrives in SKELETON. There are two: PVH (guest_pvh.c) and HVM
 * (guest_hvm.c), which has a device model, QEMU.
 *
 * A table is constant. Every member is set unless its comment says otherwise. Errors as in
 * transport/err.h. The functions that take a vm belong to the one thread that runs the move; the vm
 * is that of an open struct xf_xen_source (source) or struct xf_xen_sink (sink).
 */
#ifndef XF_GUEST_KIND_H
#define XF_GUEST_KIND_H

#include <libxl.h>

#include "pages/vm.h"
#include "transport/wire.h"

struct xf_guest_kind_ops {
    const char *name;  /* as in `type=` of xl.cfg */
    bool device_model; /* a QEMU emulates its devices: the sink starts one (device_model.h) */

    /*
     * Both sides: from HVM parameters, the gfns that the destination creates itself and whose
     * content is neither sent by the source nor accepted by the sink. At most max are written, all
     * below nr_gfns; returns their number. Pure: both sides must get the same result.
     */
    unsigned (*rings)(const struct xf_param *params, uint32_t n, uint64_t nr_gfns, uint64_t *out,
                      unsigned max);

    /* --- source --- */

    /*
     * SKELETON, the guest runs: read what the copy is built from besides its configuration and CPU
     * policy. k->nr_gfns is set; fills k->tsc, params, specials (gfns that must exist before the
     * copy is built) and ctx_len. *context, of ctx_len bytes, is malloc()ed and the caller's, also
     * after a failure; a domain built from it has no vCPU that could run.
     */
    int (*skeleton)(struct xf_source_vm *vm, struct xf_skeleton *k, void **context,
                    struct xf_err *err);
    /* COPY: what writes to the guest's memory besides its vCPUs and backends reports that to Xen's
     * dirty log from now on, or no longer (`on` false: does nothing unless it was begun). NULL:
     * nothing else writes. */
    int (*log_writes)(struct xf_source_vm *vm, bool on, struct xf_err *err);
    /* SWITCH: xf_source_ops.suspend (pages/vm.h). Also stops what belongs to the guest outside its
     * vCPUs: after 0 nothing writes to the guest's memory or disks any more. */
    int (*suspend)(struct xf_source_vm *vm, struct xf_err *err);
    /* The move is off: xf_source_ops.resume, for a guest that suspend() has suspended. EINVAL: it
     * is not suspended and was left alone. */
    int (*resume)(struct xf_source_vm *vm, struct xf_err *err);
    /* SWITCH, after suspend(): xf_source_ops.state. */
    int (*state)(struct xf_source_vm *vm, struct xf_state *s, struct xf_err *err);
    /* A cold move, the guest is suspended: its device model gives up its locks of the guest's
     * images, until it is resumed. NULL: there are none. */
    int (*release_disks)(struct xf_source_vm *vm, struct xf_err *err);
    /* Post-copy, right before suspend(): xf_source_ops.eager. NULL: nothing need be in place. */
    int (*eager)(struct xf_source_vm *vm, unsigned long *bitmap, struct xf_err *err);

    /* --- sink --- */

    /* SWITCH, the copy is paused: xf_sink_ops.load_state, and load_devices, or NULL. */
    int (*load_state)(struct xf_sink_vm *vm, const struct xf_state *s, struct xf_err *err);
    int (*load_devices)(struct xf_sink_vm *vm, const struct xf_state *s, struct xf_err *err);
    /* GO: xf_sink_ops.run; with leave_paused of struct xf_xen_sink the copy stays paused. */
    int (*run)(struct xf_sink_vm *vm, struct xf_err *err);
};

extern const struct xf_guest_kind_ops xf_guest_pvh, xf_guest_hvm;

/* The kind of guests of this type; NULL: they cannot be moved. Pure. */
const struct xf_guest_kind_ops *xf_guest_kind(libxl_domain_type type);

#endif
