/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One move at a time comes in here under a name, and one with a uuid. The locks are files of the
 * run directory, named by a hash: what a guest is called is never part of a path. Each says who
 * has it, for the sentence that the second move is refused by. They are locks of an open file, so
 * whoever is given a descriptor holds them as well, and the end of all of them gives them back.
 * No thread but the caller's; no state but the files.
 */
#ifndef XF_INCOMING_LOCK_H
#define XF_INCOMING_LOCK_H

#include <stdint.h>

#include "libxl-ext/peer/check.h"

struct xf_incoming_lock {
    int fd[2]; /* by name, by uuid; -1: not held */
    char file[2][48];
};
#define XF_INCOMING_UNLOCKED                                                                       \
    {                                                                                              \
        .fd = { -1, -1 }                                                                           \
    }

/*
 * Take both for the move of a domain from `host` (as far as that is known; for people); without a
 * uuid (NULL) only that of the name, for a move that has the other one already. look: only
 * look whether they could be taken. If another move has one, a refusal is added to f, with the
 * code "name" or "uuid", and neither is taken. -1: the run directory cannot be used.
 */
int xf_incoming_lock(struct xf_incoming_lock *l, const char *domain, const libxl_uuid *uuid,
                     const char *host, bool look, struct xf_findings *f, struct xf_err *err);

/* Give them back. Whatever was not taken is left as it is. */
void xf_incoming_unlock(struct xf_incoming_lock *l);

/*
 * The lock of a port of this host that moves come in by: held for a whole move, because a listener
 * is made anew for each link, and the source knows one port only. Returns a descriptor to close,
 * or -1: EBUSY if another move has it.
 */
int xf_port_lock(uint16_t port, struct xf_err *err);

#endif
