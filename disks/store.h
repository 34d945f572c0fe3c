/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The image or logical volume that is made for a disk that moves here. It is made anew, never
 * opened if it exists, and only what was made is removed again: of a file the very inode.
 *
 * One thread at a time. A struct xf_made is plain data and may lie in memory shared with another
 * process, which can then remove it in place of one that died.
 */
#ifndef XF_STORE_H
#define XF_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "disks/place.h"
#include "transport/err.h"

/* What was made; all 0: nothing. */
struct xf_made {
    volatile bool exists; /* it is there, and is ours */
    struct xf_place place;
    dev_t dev; /* a file's */
    ino_t ino;
};

/*
 * Make it, of `bytes` bytes (a multiple of 512), and open it for reading and writing: *fd is the
 * caller's. A file begins as zeros, without blocks if `sparse`, else with all of them; a volume
 * holds what lay there before, with zeros behind `bytes`. After -1 nothing of it is left. EEXIST,
 * ENOSPC; others.
 */
int xf_made_create(struct xf_made *m, const struct xf_place *p, uint64_t bytes, bool sparse,
                   int *fd, struct xf_err *err);

/* Everything that was written to it survives a crash of this host, its name included. */
int xf_made_sync(const struct xf_made *m, int fd, struct xf_err *err);

/* Remove it, if it exists and is still what was made. -1: it remains; the sentence names it. */
int xf_made_remove(struct xf_made *m, struct xf_err *err);

#endif
