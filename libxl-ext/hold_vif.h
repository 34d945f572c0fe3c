/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keeping a guest's network back while pages of it are absent: see hold_vif.c. Private to
 * libxl-ext. */
#ifndef XF_HOLD_VIF_H
#define XF_HOLD_VIF_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/err.h"

struct xf_hold_vif {
    uint32_t domid;
    bool held;
    unsigned nr; /* interfaces, when they were held last */
};

/* Before GO, once the backends are there. Afterwards no frontend of the guest connects. Fails
 * with what could not be held: then pages must not be absent at GO. */
int xf_hold_vif_begin(struct xf_hold_vif *h, uint32_t domid, struct xf_err *err);

/* Let them connect; does nothing if nothing is held. On failure err names what is left to do, and
 * it may be called again. */
int xf_hold_vif_end(struct xf_hold_vif *h, struct xf_err *err);

#endif
