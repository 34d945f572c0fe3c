/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Domains that a move holds: they must not be let run, or suspended, by anybody else, or the guest
 * runs twice, or without its memory.
 */
#ifndef XF_HELD_H
#define XF_HELD_H

#include "libxl-ext/libxl_ext.h"

enum xf_held {
    XF_HELD_NOT,      /* or there is no such domain, or nobody here can tell */
    XF_HELD_GOING,    /* a move of it from here is at work, in `phase` */
    XF_HELD_LEFT,     /* a move that did not end left it here: `xl migrate-recover` */
    XF_HELD_INCOMING, /* what a move builds here; nobody has let it run yet */
};

struct xf_hold {
    enum xf_held how;
    enum xf_phase phase; /* of XF_HELD_GOING */
    char host[256];      /* the other side; empty: not known */
};

/* Whether the domain of this host that a person names (by name or number) is held, and how.
 * Blocks for two seconds at most for each move on this host that does not answer. Any thread. */
void xf_held(const char *domain, struct xf_hold *out);

#endif
