/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a move leaves for a successor of its process (moves/record.h), and a successor's move made
 * of it. */
#ifndef XF_MOVE_RECORD_H
#define XF_MOVE_RECORD_H

#include "libxl-ext/source/move.h"
#include "libxl-ext/moves/record.h"

/* Before the suspend: leave what a successor would need if this process died. */
int xf_move_record(struct xf_move *m, struct xf_err *err);
/* And the other way round: fill what PULL and FINISH use of a move, and the report as far as
 * the record knows it. m->report is set. m->check.hello holds the key afterwards. */
void xf_move_from_record(struct xf_move *m, const struct xf_record *r);
/* The move has come to a state. A failure matters only before GO. 0 when there is no record. */
int xf_move_mark(struct xf_move *m, enum xf_record_state state, struct xf_err *err);

#endif
