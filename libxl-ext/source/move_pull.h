/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PULL at the source. */
#ifndef XF_MOVE_PULL_H
#define XF_MOVE_PULL_H

#include "libxl-ext/source/move.h"

/* Serve m->pull.server over m->link until the destination has every page, or reports that nobody
 * needs them. Returns XF_MOVED; or XF_PULLING or XF_UNKNOWN with an error, and the domain here
 * stays. */
enum xf_outcome xf_move_pull(struct xf_move *m, struct xf_err *err);

#endif
