/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ends of a move at the source: FINISH, or before GO back to where it was. */
#ifndef XF_MOVE_END_H
#define XF_MOVE_END_H

#include "libxl-ext/source/move.h"

/* FINISH: the end of the domain here, if it is the one that moved. XF_MOVED, also when it could not
 * be destroyed or Xen did not say what it is (a note says so, and the record stays); XF_UNKNOWN: it
 * was not, because somebody has let it run here, too. */
enum xf_outcome xf_move_finish(struct xf_move *m, struct xf_err *err);
/* Before GO: the destination drops its copy, and the guest is looked after here. `end` is how the
 * move has failed, err why; returns how it has ended. */
enum xf_outcome xf_move_give_up(struct xf_move *m, enum xf_outcome end, struct xf_err *err);
/*
 * Of that the last part: a move from SKELETON on has failed before GO and was called off; how is
 * the guest here? What it has done since decides what the end is called; one that has suspended too
 * late is resumed. Fills report->here and may_stop, and puts what became of the guest before the
 * error.
 */
enum xf_outcome xf_move_settle(struct xf_move *m, enum xf_outcome end, struct xf_err *err);

#endif
