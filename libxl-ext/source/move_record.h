/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The record that a move leaves for a successor of its process (moves/record.h), and a successor's
 * move made from it. */
#ifndef XF_MOVE_RECORD_H
#define XF_MOVE_RECORD_H

#include "libxl-ext/source/move.h"
#include "libxl-ext/moves/record.h"

/* Before the suspend: leave what a successor would need if this process died. */
int xf_move_record(struct xf_move *m, struct xf_err *err);
/* The reverse: fill the parts of a move that PULL and FINISH use, and the report as far as the
 * record covers it. m->report is set. m->check.hello holds the key afterwards. */
void xf_move_from_record(struct xf_move *m, const struct xf_record *r);
/* That part of the report alone: the names, the disks, how it was connected. */
void xf_report_from_record(struct xf_report *report, const struct xf_record *r);
/* The move has reached a state. A failure matters only before GO. 0 when there is no record. */
int xf_move_mark(struct xf_move *m, enum xf_record_state state, struct xf_err *err);

#endif
