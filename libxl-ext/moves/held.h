/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Domains held by a move: nobody else may let them run or suspend them, or the guest would run
 * twice, or without its memory.
 */
#ifndef XF_HELD_H
#define XF_HELD_H

#include "libxl-ext/libxl_ext.h"

enum xf_held {
    XF_HELD_NOT,      /* or no such domain exists, or that is not known here */
    XF_HELD_GOING,    /* a move from this host is in progress, in `phase` */
    XF_HELD_LEFT,     /* an unfinished move left it here: `xl migrate-recover` */
    XF_HELD_LOCKED,   /* a process here has the lock of its move, and does not say more */
    XF_HELD_INCOMING, /* a move is building it here; it has not run yet */
};

struct xf_hold {
    enum xf_held how;
    enum xf_phase phase; /* of XF_HELD_GOING */
    char host[256];      /* the other side; empty: unknown */
};

/* Whether this host's domain of this name or number is held, and how. Blocks for at most two
 * seconds per move on this host that does not answer. Any thread. */
void xf_held(const char *domain, struct xf_hold *out);

#endif
