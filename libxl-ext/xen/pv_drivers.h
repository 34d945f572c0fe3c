/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Does an HVM guest use Xen's own devices? */
#ifndef XF_PV_DRIVERS_H
#define XF_PV_DRIVERS_H

#include <stdbool.h>
#include <stdint.h>

#include <xenctrl.h>

#include "transport/err.h"

/*
 * *has: the domain has set the interrupt by which Xen tells it of events, as PV drivers do first.
 * It may do so at any time, so the answer is for this moment. For guests with a device model;
 * others always have PV drivers and need not set it. One hypercall; any thread with its own handle.
 * -1: Xen did not answer, and *has is unchanged.
 */
int xf_has_pv_drivers(xc_interface *xch, uint32_t domid, bool *has, struct xf_err *err);

#endif
