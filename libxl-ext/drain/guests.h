/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guests of this host, as a drain sees them. Any thread. */
#ifndef XF_GUESTS_H
#define XF_GUESTS_H

#include <stdint.h>

#include "transport/err.h"

enum xf_guest_state {
    XF_GUEST_RUNS, /* or is paused */
    XF_GUEST_SUSPENDED,
    XF_GUEST_ENDED,    /* crashed, powered off, rebooting or being destroyed */
    XF_GUEST_INCOMING, /* built here by a move, and not let run */
};

struct xf_guest {
    uint32_t domid;
    char name[160]; /* clean; cut if it is longer */
    char uuid[40];
    uint64_t memory_kib;
    enum xf_guest_state state;
};

/* All domains of this host except domain 0, stub domains (which belong to a guest) and those of
 * Xen's own (which never stop). *list is malloc()ed. */
int xf_guests(struct xf_guest **list, unsigned *n, struct xf_err *err);

#endif
