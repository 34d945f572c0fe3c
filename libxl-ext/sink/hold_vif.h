/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keeping a guest's network back while pages of it are absent: see hold_vif.c. Private to
 * libxl-ext. */
#ifndef XF_HOLD_VIF_H
#define XF_HOLD_VIF_H

#include <stdbool.h>
#include <stdint.h>

#include "libxl-ext/xen/vif.h"
#include "libxl-ext/xen/vif_link.h"
#include "transport/err.h"

struct xf_hold_vif {
    uint32_t domid;
    bool held;
    unsigned nr; /* interfaces, when they were held last */
    struct xf_vif_link link[XF_VIFS_MAX];
};

/* Before the guest is built: could its network be held, by its configuration (libxl's JSON)? -1:
 * why not, with the remedy. */
int xf_hold_vif_possible(const char *config, struct xf_err *why);

/* Before GO, once the backends are there. Afterwards nothing that the guest sends is taken, and no
 * well-behaved frontend connects. Fails with what could not be held: then pages must not be absent
 * at GO. */
int xf_hold_vif_begin(struct xf_hold_vif *h, uint32_t domid, struct xf_err *err);

/* While it is held, now and then: somebody in dom0 may have brought an interface up. */
int xf_hold_vif_keep(struct xf_hold_vif *h, struct xf_err *err);

/* Let them connect; does nothing if nothing is held. On failure err names what is left to do, and
 * it may be called again. */
int xf_hold_vif_end(struct xf_hold_vif *h, struct xf_err *err);

#endif
