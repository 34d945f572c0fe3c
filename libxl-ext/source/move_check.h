/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHECK at the source: everything that can be refused before anything is touched. */
#ifndef XF_MOVE_CHECK_H
#define XF_MOVE_CHECK_H

#include "libxl-ext/peer/check.h"
#include "libxl-ext/source/move.h"

/* The domain that is meant and its lock, from which on migrate-status shows the move. May be called
 * again: a guest that was rebooted meanwhile has another number. */
int xf_move_check_begin(struct xf_move *m, struct xf_err *err);
/*
 * All of CHECK: the domain, the peer, and the route to it. After 0 the control channel is open. -1
 * with report->outcome = XF_REFUSED: nothing was touched. XF_MOVE_FULL: the destination refuses it
 * for nothing but its limit of moves (m->check.reply), and the watcher has been told nothing;
 * xf_move_uncheck() goes before another attempt.
 */
#define XF_MOVE_FULL 1
int xf_move_check(struct xf_move *m, struct xf_err *err);
/* Release what CHECK holds of the domain and of the peer, whose process gets child_ms to end. */
void xf_move_uncheck(struct xf_move *m, int child_ms);
/* Tell the watcher the findings; -1: the first refusal among them is the error. */
int xf_move_tell_findings(struct xf_move *m, const struct xf_findings *found, struct xf_err *err);

#endif
