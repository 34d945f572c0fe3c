/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest changed during its move: changes that the destination follows, and those that end the
 * move. */
#ifndef XF_MOVE_FOLLOW_H
#define XF_MOVE_FOLLOW_H

#include "libxl-ext/source/move.h"

/* Have the destination follow changes made to the domain since CHECK (changes.h); -1 if it cannot.
 * For every tick until the guest is suspended. */
int xf_move_follow(struct xf_move *m, struct xf_err *err);
/* Before GO: -1 if it was changed after the last tick. */
int xf_move_unchanged(struct xf_move *m, struct xf_err *err);

#endif
