/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The network interface in dom0's kernel for a guest's interface: taken down and up again without
 * losing settings made by an administrator or a script. Private to libxl-ext. One thread at a
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
    void *kept;     /* settings that the kernel forgets when the interface goes down; owned here */
    size_t kept_len;
};

/*
 * The interface of a backend in xenstore (its directory, /local/domain/0/backend/vif/DOMID/DEVID),
 * as given by the driver under `sys` (/sys). -1: no driver of this kernel serves it.
 */
int xf_vif_link_find(struct xf_vif_link *l, const char *sys, const char *backend,
                     struct xf_err *err);

/* Take it down; does nothing if it is down. Its bridge, addresses and settings stay; its routes are
 * remembered. */
int xf_vif_link_down(struct xf_vif_link *l, struct xf_err *err);

/* Bring it up again and restore its routes; only if xf_vif_link_down() took it down. An interface
 * that has gone meanwhile is no failure. After a failure it may be called again. */
int xf_vif_link_up(struct xf_vif_link *l, struct xf_err *err);

/* Take it down again if somebody has brought it up since. -1: that failed. */
int xf_vif_link_keep_down(struct xf_vif_link *l, struct xf_err *err);

#endif
