/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How the receiver is started at the destination. */
#ifndef XF_MOVE_RUNE_H
#define XF_MOVE_RUNE_H

#include "libxl-ext/libxl_ext.h"

/* The command that starts it, built exactly as by stock xl; malloc()ed, NULL: no memory. Pure. */
char *xf_move_rune(const struct xf_move_opts *o);

#endif
