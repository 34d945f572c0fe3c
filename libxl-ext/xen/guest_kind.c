/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which kinds of guests can be moved: see guest_kind.h. */
#include "libxl-ext/xen/guest_kind.h"

const struct xf_guest_kind_ops *xf_guest_kind(libxl_domain_type type)
{
    switch (type) {
    case LIBXL_DOMAIN_TYPE_PVH:
        return &xf_guest_pvh;
    case LIBXL_DOMAIN_TYPE_HVM:
        return &xf_guest_hvm;
    case LIBXL_DOMAIN_TYPE_PV: /* never: its page tables hold machine addresses */
    case LIBXL_DOMAIN_TYPE_INVALID:
        break;
    }
    return NULL;
}
