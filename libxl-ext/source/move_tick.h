/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What every wait of a move checks, about ten times a second or more often. */
#ifndef XF_MOVE_TICK_H
#define XF_MOVE_TICK_H

#include "libxl-ext/source/move.h"

/* Show progress. Returns -1 when the move is to end: it was interrupted (ECANCELED), the receiver
 * is gone (ECONNRESET), or the guest was changed in a way that cannot be followed. priv is the
 * xf_move. The move's thread only. */
int xf_move_tick(void *priv, struct xf_err *err);

#endif
