/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Holding a guest's network back while pages are absent: see hold_vif.c. Private to libxl-ext. */
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
    unsigned nr; /* interfaces when last held */
    struct xf_vif_link link[XF_VIFS_MAX];
};

/* Before the guest is built: could its network be held, judging by its configuration (libxl's
 * JSON)? -1: no; `why` has the reason and the remedy. */
int xf_hold_vif_possible(const char *config, struct xf_err *why);

/* Before GO, once the backends are there. From then on nothing the guest sends is accepted, and no
 * well-behaved frontend connects. The error names what could not be held; then no page may be
 * absent at GO. */
int xf_hold_vif_begin(struct xf_hold_vif *h, uint32_t domid, struct xf_err *err);

/* To be called now and then while the network is held: somebody in dom0 may have brought an
 * interface up. */
int xf_hold_vif_keep(struct xf_hold_vif *h, struct xf_err *err);

/* Let the frontends connect; does nothing if nothing is held. On failure err names what remains to
 * be done, and the call may be repeated. */
int xf_hold_vif_end(struct xf_hold_vif *h, struct xf_err *err);

#endif
