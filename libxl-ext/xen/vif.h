/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A domain's PV network interfaces, as listed by their backends in xenstore. Private to
 * libxl-ext. */
#ifndef XF_VIF_H
#define XF_VIF_H

#include <stdbool.h>
#include <stdint.h>
#include <xenstore.h>

#define XF_VIFS_MAX 64

struct xf_vif {
    char backend[128]; /* its directory in xenstore */
    char name[64];     /* of the interface, in the backend's domain */
};

/* Read libxl's entries about domid, where the guest cannot write. Stores up to XF_VIFS_MAX of them
 * in v; returns their number. *all: the list is complete; else there are more, or some could not be
 * read. */
unsigned xf_vif_list(struct xs_handle *xs, uint32_t domid, struct xf_vif *v, bool *all);

enum xf_vif_set {
    XF_VIF_SET,
    XF_VIF_BUSY,  /* somebody else wrote at the same time: try again */
    XF_VIF_OTHER, /* in another state, left unchanged */
};

/*
 * Change the state of v's backend (enum xenbus_state, xen/io/xenbus.h) in a transaction, so that no
 * concurrent change is undone. `found`: its previous state, 0 if it has none. from and to may be
 * equal: that wakes whoever watches the state.
 */
enum xf_vif_set xf_vif_set_state(struct xs_handle *xs, const struct xf_vif *v, int from, int to,
                                 int *found);

#endif
