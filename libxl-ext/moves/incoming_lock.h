/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Locks that admit one incoming move at a time per name and per uuid. They are files in the run
 * directory, named by a hash: a guest's name is never part of a path. Each names its holder, for
 * the refusal of a second move. They are locks of an open file, so every process with the
 * descriptor holds them, and they are released when the last one closes it or ends. Runs in the
 * caller's thread; no state but the files.
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
 * Take both locks for the move of a domain from `host` (shown to people; as far as known). Without
 * a uuid (NULL) take only the name's, for a move that already has the other. look: only check
 * whether they could be taken. If another move has one, a refusal with the code "name" or "uuid" is
 * added to f, and neither is taken. -1: the run directory cannot be used.
 */
int xf_incoming_lock(struct xf_incoming_lock *l, const char *domain, const libxl_uuid *uuid,
                     const char *host, bool look, struct xf_findings *f, struct xf_err *err);

/* Release the locks held; a lock that was not taken is left alone. */
void xf_incoming_unlock(struct xf_incoming_lock *l);

/*
 * The lock of a port on which this host receives moves: held for a whole move, because each link
 * gets a new listener and the source knows only one port. Returns a descriptor to close, or -1:
 * EBUSY if another move has it.
 */
int xf_port_lock(uint16_t port, struct xf_err *err);

#endif
