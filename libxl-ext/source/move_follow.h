/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest that is changed while it is moved: what the destination follows, and what ends the move.
 */
#ifndef XF_MOVE_FOLLOW_H
#define XF_MOVE_FOLLOW_H

#include "libxl-ext/source/move.h"

/* The domain may have been changed since CHECK (changes.h): have it followed by the destination, or
 * -1 if that cannot be. For every tick until the guest is suspended. */
int xf_move_follow(struct xf_move *m, struct xf_err *err);
/* Before GO: -1 if it was changed after the last tick. */
int xf_move_unchanged(struct xf_move *m, struct xf_err *err);

#endif
