/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The image that a disk is to move to, on this host: a new file, or a block device that exists.
 * Nothing that exists is overwritten but a block device that the caller named, that nobody uses and
 * that is not the disk itself.
 */
#ifndef XF_DISK_TARGET_H
#define XF_DISK_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/err.h"

#define XF_TARGET_PATH 1024u

struct xf_disk_target {
    char path[XF_TARGET_PATH]; /* absolute */
    int fd;                    /* for reading; -1: not open */
    bool device;
    bool created; /* by us, so that it may be removed */
};

/*
 * target: a directory (then the file's name is that of the source), a file that does not exist, or
 * a block device. source, an absolute path: the disk's present image; size: of the disk, bytes. The
 * new file has size, owner and mode of the source, and is sparse if that is. Errors: EEXIST,
 * ENOSPC, EFBIG (a device too small), EBUSY (in use), ELOOP (it is the source itself), EINVAL;
 * others of open(2).
 */
int xf_disk_target_open(struct xf_disk_target *t, const char *target, const char *source,
                        uint64_t size, struct xf_err *err);
/* The copy is complete: make the file and its name durable. */
int xf_disk_target_keep(struct xf_disk_target *t, struct xf_err *err);
/* Close; and if it was created and is not kept, remove it. May be called again. */
void xf_disk_target_close(struct xf_disk_target *t);

#endif
