/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A cold move at the source: libxl's own stream of the guest, over our channels and under our
 * rules, in place of SKELETON, COPY and SWITCH. For what the engine cannot carry; the guest stands
 * still, except a PV guest whose writes Xen can log (m->check.live).
 */
#ifndef XF_MOVE_COLD_H
#define XF_MOVE_COLD_H

#include "libxl-ext/source/move.h"

/* After 0 the destination has made the domain, without any memory, and the watcher has been told
 * how long the guest will stand still. Nothing has happened to the guest. */
int xf_move_cold_build(struct xf_move *m, struct xf_err *err);

/* As xf_switch() (precopy/copy.h). m's record has been written. */
enum xf_switch_end xf_move_cold_switch(struct xf_move *m,
                                       int (*before_go)(void *priv, struct xf_err *err),
                                       struct xf_err *err);

#endif
