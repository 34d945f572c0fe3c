/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The PV drivers of an HVM guest: see pv_drivers.h. */
#include "libxl-ext/xen/pv_drivers.h"

#include <errno.h>
#include <string.h>

#include <xen/hvm/params.h>

int xf_has_pv_drivers(xc_interface *xch, uint32_t domid, bool *has, struct xf_err *err)
{
    uint64_t irq = 0;

    if (xc_hvm_param_get(xch, domid, HVM_PARAM_CALLBACK_IRQ, &irq))
        return xf_fail(err, errno, "cannot ask Xen whether domain %u has PV drivers: %s", domid,
                       strerror(errno));
    *has = irq != 0;
    return 0;
}
