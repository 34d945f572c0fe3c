/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The state of a hardware-assisted guest in Xen itself, which PVH and HVM guests have in common
 * (guest_pvh.c, guest_hvm.c). All calls belong to the one thread that runs the move.
 */
#ifndef XF_GUEST_STATE_H
#define XF_GUEST_STATE_H

#include "libxl-ext/xen/xen_sink.h"
#include "libxl-ext/xen/xen_source.h"

/* What struct xf_guest_kind_ops says of its members of these names. */
int xf_guest_skeleton(struct xf_source_vm *vm, struct xf_skeleton *k, void **context,
                      struct xf_err *err);
int xf_guest_resume(struct xf_source_vm *vm, struct xf_err *err);
int xf_guest_state(struct xf_source_vm *vm, struct xf_state *s, struct xf_err *err);
int xf_guest_load_state(struct xf_sink_vm *vm, const struct xf_state *s, struct xf_err *err);
int xf_guest_run(struct xf_sink_vm *vm, struct xf_err *err);

#endif
