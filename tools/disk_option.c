/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The values of --with-disks and --disk: see disk_option.h. */
#include "tools/disk_option.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define POINTER " (xl migrate --help lists the options)"

/* The entry of a disk, added if it is new. NULL: no such name, or too many. */
static struct xf_disk_wish *entry(const char *name, size_t len, struct xf_move_opts *o,
                                  struct xf_err *err)
{
    struct xf_disk_wish *w;

    if (!len || len >= XF_VDEV || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789") < len) {
        xf_fail(
            err, EINVAL,
            "'%.*s' is not the name of a disk, such as xvda (`xl block-list` shows them)" POINTER,
            len < 40 ? (int)len : 40, name);
        return NULL;
    }
    for (unsigned i = 0; i < o->nr_disks; i++)
        if (strlen(o->disks[i].vdev) == len && !strncmp(o->disks[i].vdev, name, len))
            return &o->disks[i];
    if (o->nr_disks == XF_MOVE_DISKS_MAX) {
        xf_fail(err, EINVAL, "at most %u disks can move with a domain" POINTER, XF_MOVE_DISKS_MAX);
        return NULL;
    }
    w = &o->disks[o->nr_disks++];
    snprintf(w->vdev, sizeof(w->vdev), "%.*s", (int)len, name);
    return w;
}

int disk_option_with(const char *value, struct xf_move_opts *o, struct xf_err *err)
{
    if (!value) {
        o->all_disks = true;
        return 0;
    }
    for (;;) {
        size_t len = strcspn(value, ",");

        if (!entry(value, len, o, err))
            return -1;
        if (!value[len])
            return 0;
        value += len + 1;
    }
}

int disk_option_one(const char *value, struct xf_move_opts *o, struct xf_err *err)
{
    const char *cut = strchr(value, '=');
    struct xf_disk_wish *w;

    if (!cut || (cut[1] != '/' && strncmp(cut + 1, "vg:", 3) != 0))
        return xf_fail(err, EINVAL,
                       "--disk takes a disk and where it goes, such as xvda=/srv/xen/web1.img, "
                       "xvda=/srv/xen/ or xvda=vg:vg0, not '%.60s'" POINTER,
                       value);
    w = entry(value, (size_t)(cut - value), o, err);
    if (!w)
        return -1;
    if (w->target[0])
        return xf_fail(err, EINVAL, "--disk names disk %s twice" POINTER, w->vdev);
    if (strlen(cut + 1) >= sizeof(w->target))
        return xf_fail(err, EINVAL, "the target of disk %s is too long" POINTER, w->vdev);
    snprintf(w->target, sizeof(w->target), "%s", cut + 1);
    return 0;
}
