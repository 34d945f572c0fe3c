/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is written on this host about where a disk's image is, besides in QEMU: xenstore (both the
 * backend's directory and libxl's own copy), from which `xl` lists disks and a move takes them; and
 * libxl's configuration of the domain (userdata "libxl-json"), from which xl's monitor starts the
 * domain anew when it reboots.
 *
 * libxl has no call for the latter: disks do not change their image in its view. It asks
 * applications not to write that file; this one member of it is written all the same, through
 * libxl_userdata_store(), which takes libxl's lock. The alternative is a guest that boots from the
 * old image.
 */
#ifndef XF_DISK_RECORDS_H
#define XF_DISK_RECORDS_H

#include <libxl.h>

#include "libxl-ext/disks/disk_target.h"

struct xf_disk_record {
    char backend[128], copy[128]; /* directories in xenstore */
    char kind[16];                /* what stands before the path: "aio" */
    char path[XF_TARGET_PATH];
};

/* The record of qdisk `vdev`. ENOENT: there is no such disk. */
int xf_disk_record_read(struct xf_disk_record *r, uint32_t domid, const char *vdev,
                        struct xf_err *err);
/* From now on its image is `path`: both in xenstore, then libxl's. r->path follows. */
int xf_disk_record_write(struct xf_disk_record *r, libxl_ctx *ctx, uint32_t domid, const char *vdev,
                         const char *path, struct xf_err *err);

/* libxl's configuration (JSON) with the image of vdev changed; malloc()ed. NULL with ENOENT: it has
 * no such disk; EPROTO: it is not such a configuration. Pure. */
char *xf_disk_record_edit(const char *json, size_t len, const char *vdev, const char *path,
                          struct xf_err *err);

#endif
