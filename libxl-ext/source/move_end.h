/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ends of a move at the source: FINISH, or, before GO, calling it off. */
#ifndef XF_MOVE_END_H
#define XF_MOVE_END_H

#include "libxl-ext/source/move.h"

/* FINISH: destroy the domain here, if it is the one that moved. XF_MOVED: also when it could not be
 * destroyed or Xen did not say what it is (a note says so, and the record stays). XF_UNKNOWN: not
 * destroyed, because somebody let it run here as well. */
enum xf_outcome xf_move_finish(struct xf_move *m, struct xf_err *err);
/* Before GO: make the destination drop its copy, and see to the guest here. `end` is how the move
 * failed, err why; returns the final outcome. */
enum xf_outcome xf_move_give_up(struct xf_move *m, enum xf_outcome end, struct xf_err *err);
/*
 * The last part of xf_move_give_up(): a move failed between SKELETON and GO and was called off;
 * find the guest's state here. That decides the outcome; a guest that suspended too late is
 * resumed. Fills report->here and may_stop, and prefixes the error with the guest's state.
 */
enum xf_outcome xf_move_settle(struct xf_move *m, enum xf_outcome end, struct xf_err *err);

#endif
