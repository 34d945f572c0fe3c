/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PULL at the source. */
#ifndef XF_MOVE_PULL_H
#define XF_MOVE_PULL_H

#include "libxl-ext/source/move.h"

/* Until the destination has every page, or has said that nobody needs them: serve m->pull.server
 * over m->link. XF_MOVED; or XF_PULLING, XF_UNKNOWN with an error, and the domain here stays. */
enum xf_outcome xf_move_pull(struct xf_move *m, struct xf_err *err);

#endif
