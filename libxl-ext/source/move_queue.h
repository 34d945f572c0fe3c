/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHECK at the source as soon as both hosts take part in fewer moves than their limits. */
#ifndef XF_MOVE_QUEUE_H
#define XF_MOVE_QUEUE_H

#include "libxl-ext/source/move.h"

/*
 * Wait for a slot of this host and for one of the destination (moves/slot.h), for opts.wait_s at
 * most, and go through CHECK. After 0 the move has both: m->slot, which xf_move_end() gives back,
 * and the destination's, which the sink holds. -1 as xf_move_check(), also when the time is up.
 * With check_only no slot is taken.
 */
int xf_move_queue(struct xf_move *m, struct xf_err *err);

#endif
