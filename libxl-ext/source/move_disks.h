/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks that move with their guest: the phase DISKS, and their part in SWITCH. The move's thread.
 */
#ifndef XF_MOVE_DISKS_H
#define XF_MOVE_DISKS_H

#include "libxl-ext/source/move.h"

/* DISKS: after 0 every copy follows its disk, and has been compared with it. Also connects the
 * link's bulk channels. Does nothing without disks. */
int xf_move_disks(struct xf_move *m, struct xf_err *err);
/* SKELETON: m->skeleton.xen is open: have the copies end with the suspend. */
void xf_move_disks_hook(struct xf_move *m);
/* Before SWITCH: wait until what the copies owe would cost no more downtime than is allowed. */
int xf_move_disks_settle(struct xf_move *m, struct xf_err *err);
/* SWITCH, before GO: everything is at the destination, and equal. */
int xf_move_disks_done(struct xf_move *m, struct xf_err *err);

#endif
