/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a disk that moves here may be put: the stores that this host allows (<storage> in
 * xenferry.xml), and the place in one of them that a source asks for. Names from the source are
 * compared and checked; nothing is opened, created or run here but what the look-up needs.
 *
 * Any thread; no state.
 */
#ifndef XF_PLACE_H
#define XF_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/err.h"

#define XF_STORES_MAX 8u
#define XF_STORE_NAME 256u
#define XF_DISK_NAME 128u /* of an image or a logical volume, NUL included */
#define XF_DISK_PATH 400u /* store and name */

/* A directory or a volume group that may hold disks. */
struct xf_store {
    bool vg;
    char name[XF_STORE_NAME]; /* an absolute path, or the group's name */
};
/* In the order of the file; the first one takes the disks for which none is named. */
struct xf_stores {
    unsigned nr;
    struct xf_store list[XF_STORES_MAX];
};

/* Can this be a store: an absolute path without "//", "." and "..", of characters that neither
 * libxl nor QEMU takes for something else; the name of a volume group? */
bool xf_store_dir_ok(const char *path);
bool xf_store_vg_ok(const char *name);
/* A name without '/' that may be given to an image or a logical volume here. */
bool xf_disk_name_ok(const char *name);

/* A place for one disk; neither looked for nor made yet. */
struct xf_place {
    struct xf_store store;
    char name[XF_DISK_NAME];
    char path[XF_DISK_PATH]; /* for libxl: "/srv/xen/web1.img", "/dev/vg0/web1" */
};

/*
 * The place that `want` names: "/DIR/FILE", "/DIR/" (as `name`), "vg:GROUP" (as `name`),
 * "vg:GROUP/VOLUME", or "" (the first store, as `name`). EPERM: this host does not allow it; the
 * sentence names the remedy. EINVAL: not such a word, or an unsuitable name.
 */
int xf_place_choose(const struct xf_stores *allowed, const char *want, const char *name,
                    struct xf_place *out, struct xf_err *err);

/* Is its name free, and how many bytes are free in its store? EEXIST: something has that name.
 * Others: the store cannot be used. */
int xf_place_look(const struct xf_place *p, uint64_t *free_bytes, struct xf_err *err);

#endif
