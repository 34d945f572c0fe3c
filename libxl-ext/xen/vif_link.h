/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The network interface that dom0's kernel has for a guest's: taken down and up again without
 * losing what an administrator or a script has given it. Private to libxl-ext. One thread at a
 * time. */
#ifndef XF_VIF_LINK_H
#define XF_VIF_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <net/if.h>

#include "transport/err.h"

struct xf_vif_link {
    unsigned index; /* of the interface; 0: there is none */
    bool down;      /* by us */
    void *kept;     /* what the kernel forgets of an interface that goes down; ours */
    size_t kept_len;
};

/*
 * The interface of a backend in xenstore (its directory, /local/domain/0/backend/vif/DOMID/DEVID),
 * as the driver says under `sys` (/sys). -1: no driver of this kernel serves it.
 */
int xf_vif_link_find(struct xf_vif_link *l, const char *sys, const char *backend,
                     struct xf_err *err);

/* Down; does nothing to one that is. Its bridge, addresses and settings stay, its routes are
 * remembered. */
int xf_vif_link_down(struct xf_vif_link *l, struct xf_err *err);

/* Up again, and its routes back; only if xf_vif_link_down() took it down. One that has gone
 * meanwhile is no failure. After one it may be called again. */
int xf_vif_link_up(struct xf_vif_link *l, struct xf_err *err);

/* Has somebody brought it up since? Then it is taken down again. -1: it cannot be. */
int xf_vif_link_keep_down(struct xf_vif_link *l, struct xf_err *err);

#endif
