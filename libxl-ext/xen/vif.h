/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A domain's PV network interfaces, as their backends have them in xenstore. Private to libxl-ext.
 */
#ifndef XF_VIF_H
#define XF_VIF_H

#include <stdbool.h>
#include <stdint.h>
#include <xenstore.h>

#define XF_VIFS_MAX 64

struct xf_vif {
    char backend[128]; /* its directory in xenstore */
    char name[64];     /* of the interface in the backend's domain */
};

/* What libxl wrote down about domid; the guest cannot write there. Up to XF_VIFS_MAX of them
 * into v; how many. *all: those are all that there are; else there are more, or some could not be
 * read. */
unsigned xf_vif_list(struct xs_handle *xs, uint32_t domid, struct xf_vif *v, bool *all);

enum xf_vif_set {
    XF_VIF_SET,
    XF_VIF_BUSY,  /* somebody else wrote at the same time: try again */
    XF_VIF_OTHER, /* it is in another state, left as it is */
};

/*
 * Change the state of v's backend (enum xenbus_state, xen/io/xenbus.h) in a transaction, so
 * that nobody else's change is undone. `found`: the state it was in, 0 if it has none. from and to
 * may be the same: whoever watches the state is woken.
 */
enum xf_vif_set xf_vif_set_state(struct xs_handle *xs, const struct xf_vif *v, int from, int to,
                                 int *found);

#endif
