/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading a domain's state other than its pages: CPU policy, HVM parameters, TSC, HVM context. Pure
 * readers; the source uses them for SKELETON and again in SWITCH.
 */
#ifndef XF_STATIC_STATE_H
#define XF_STATIC_STATE_H

#include <xenctrl.h>

#include "transport/wire.h"

int xf_read_tsc(xc_interface *xch, uint32_t domid, struct xf_tsc *out, struct xf_err *err);

/* The parameters that the stock saver sends (xg_sr_save_x86_hvm.c), without zero values. params has
 * room for XF_PARAMS_MAX. */
int xf_read_params(xc_interface *xch, uint32_t domid, struct xf_param *params, uint32_t *n,
                   struct xf_err *err);

/* The HVM context; the domain may run (Xen pauses it for the moment). *blob is malloc()ed. */
int xf_read_context(xc_interface *xch, uint32_t domid, void **blob, uint32_t *len,
                    struct xf_err *err);

/* Keep only a context's first and last entry, its header and its end, in place: what is loaded
 * later leaves nothing behind of an earlier context, such as a timer that no longer runs
 * (hpet_load(), Xen arch/x86/hvm/hpet.c, starts timers and stops none). An invalid context is left
 * unchanged. */
void xf_context_outline(void *blob, uint32_t *len);

/* The CPU policy as arrays of xen_cpuid_leaf_t and xen_msr_entry_t, both malloc()ed;
 * lengths in bytes. */
int xf_read_policy(xc_interface *xch, uint32_t domid, void **cpuid, uint32_t *cpuid_len,
                   void **msrs, uint32_t *msr_len, struct xf_err *err);

/*
 * From parameters: gfns that the receiver creates itself and whose content is never moved. At most
 * max are written, all below nr_gfns; returns their number.
 */
unsigned xf_ring_gfns(const struct xf_param *params, uint32_t n, uint64_t nr_gfns, uint64_t *out,
                      unsigned max);

/* From parameters: gfns that must exist before a restore handles the parameters: the rings
 * and the pages that Xen itself (identity page table, VM86 TSS) or libxl (generation id) uses. */
unsigned xf_special_gfns(const struct xf_param *params, uint32_t n, uint64_t nr_gfns, uint64_t *out,
                         unsigned max);

#endif
