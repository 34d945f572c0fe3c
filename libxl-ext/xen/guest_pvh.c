/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A PVH guest (guest_kind.h): hardware-assisted, without a device model, with Xen's PV drivers. So
 * all its state besides memory is in Xen, and the guest must suspend itself.
 */
#include "libxl-ext/xen/guest_kind.h"

#include "libxl-ext/xen/guest_state.h"
#include "libxl-ext/xen/static_state.h"
#include "libxl-ext/xen/xen_eager.h"
#include "libxl-ext/xen/xen_suspend.h"

const struct xf_guest_kind_ops xf_guest_pvh = {
    .name = "pvh",
    .rings = xf_ring_gfns,
    .skeleton = xf_guest_skeleton,
    .suspend = xf_xen_suspend,
    .resume = xf_guest_resume,
    .state = xf_guest_state,
    .eager = xf_xen_eager,
    .load_state = xf_guest_load_state,
    .run = xf_guest_run,
};
