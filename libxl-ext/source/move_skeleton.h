/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SKELETON at the source: the domain is built at the destination while the guest runs here. */
#ifndef XF_MOVE_SKELETON_H
#define XF_MOVE_SKELETON_H

#include "libxl-ext/source/move.h"

/* After 0 the domain exists at the destination, paused and waiting for pages; m->skeleton is
 * filled, m->copy has begun. */
int xf_move_skeleton(struct xf_move *m, struct xf_err *err);

/* Wait for this message on the control channel; -1 after timeout_ms, or if the move must end. meta
 * has XF_META_MAX bytes. */
int xf_move_wait_for(struct xf_move *m, uint16_t type, int timeout_ms, struct xf_msg *msg,
                     uint8_t *meta, struct xf_err *err);

#endif
