/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHECK at the source: everything that can be refused before anything is touched. */
#ifndef XF_MOVE_CHECK_H
#define XF_MOVE_CHECK_H

#include "libxl-ext/source/move.h"

/* The domain, the peer, and the route to it. After 0 the control channel is open. -1 with
 * report->outcome = XF_REFUSED: nothing was touched. */
int xf_move_check(struct xf_move *m, struct xf_err *err);

#endif
