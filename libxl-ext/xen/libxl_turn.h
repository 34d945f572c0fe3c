/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libxl's asynchronous operations, waited for by their caller. */
#ifndef XF_LIBXL_TURN_H
#define XF_LIBXL_TURN_H

#include <libxl.h>

/* Handle libxl's events once, for at most a tenth of a second; an operation's callback is called in
 * here. The thread that owns ctx. */
void xf_libxl_turn(libxl_ctx *ctx);

#endif
