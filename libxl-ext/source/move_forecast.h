/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a move would take (`--check`), and what it was to take (its report); and what both, and COPY
 * itself, derive from the options. The move's thread only. */
#ifndef XF_MOVE_FORECAST_H
#define XF_MOVE_FORECAST_H

#include "libxl-ext/source/move.h"

/* A first guess of how long the guest takes to suspend; the report shows the actual time. */
#define XF_SUSPEND_GUESS_S 0.03

/* How COPY begins; after CHECK. */
enum xf_mode xf_move_mode(const struct xf_move *m);
struct xf_policy xf_move_policy(const struct xf_move *m);
const char *xf_move_mode_word(enum xf_mode mode);

/* --check, which has refused nothing: look at the guest and measure the link, some seconds; fill
 * report->forecast. What cannot be found out stays unknown there, with a note. -1: the move was
 * cancelled. Leaves the guest and the destination as they were. */
int xf_move_foresee(struct xf_move *m, struct xf_err *err);

/* COPY has ended, however: report->forecast from what it forecast early in its first round. */
void xf_move_report_forecast(struct xf_move *m);

#endif
