/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The report's parts on COPY, SWITCH and PULL, taken from the engine when a phase has ended. The
 * move's thread only. */
#ifndef XF_MOVE_REPORT_H
#define XF_MOVE_REPORT_H

#include "libxl-ext/source/move.h"
#include "postcopy/rejoin.h"

/* COPY and SWITCH, however they ended. Before xf_copy_end(). */
void xf_move_report_copy(struct xf_move *m);
/* PULL, and how often its link was lost. While m->pull.server exists. */
void xf_move_report_pull(struct xf_move *m, const struct xf_outage *o);

#endif
