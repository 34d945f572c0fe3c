/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a disk that moves here may be put: see place.h. */
#include "disks/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "disks/program.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define LVM_MS 30000

/* Not '-' at the beginning, which would be an option to LVM's tools. */
static bool is_name(const char *s, size_t len, size_t size, const char *allowed)
{
    return len && len < size && s[0] != '-' && s[0] != '.' && strspn(s, allowed) >= len;
}

bool xf_disk_name_ok(const char *name)
{
    return is_name(name, strlen(name), XF_DISK_NAME, LETTERS "+_.-");
}

bool xf_store_vg_ok(const char *name)
{
    return is_name(name, strlen(name), XF_DISK_NAME, LETTERS "+_.-");
}

bool xf_store_dir_ok(const char *path)
{
    if (strlen(path) >= XF_STORE_NAME)
        return false;
    do {
        size_t len;

        if (*path++ != '/')
            return false;
        len = strcspn(path, "/");
        if (!is_name(path, len, XF_STORE_NAME, LETTERS "+_.@~-"))
            return false;
        path += len;
    } while (*path);
    return true;
}

static void list_stores(const struct xf_stores *s, char *out, size_t size)
{
    size_t len = 0;

    for (unsigned i = 0; i < s->nr && len < size; i++)
        len += (size_t)snprintf(out + len, size - len, "%s%s%s", i ? ", " : "",
                                s->list[i].vg ? "vg:" : "", s->list[i].name);
}

/* Split `want` into a store and a name; an empty name is to be chosen. */
static int split(const char *want, struct xf_store *store, char name[XF_DISK_NAME])
{
    bool vg = !strncmp(want, "vg:", 3);
    const char *text = vg ? want + 3 : want;
    const char *cut = vg ? strchr(text, '/') : strrchr(text, '/');
    size_t len = cut ? (size_t)(cut - text) : strlen(text);

    if ((!vg && want[0] != '/') || len >= sizeof(store->name) ||
        (cut && strlen(cut + 1) >= XF_DISK_NAME))
        return -1;
    store->vg = vg;
    snprintf(store->name, sizeof(store->name), "%.*s", (int)len, text);
    snprintf(name, XF_DISK_NAME, "%s", cut ? cut + 1 : "");
    return 0;
}

static bool is_allowed(const struct xf_stores *s, const struct xf_store *x)
{
    for (unsigned i = 0; i < s->nr; i++)
        if (s->list[i].vg == x->vg && !strcmp(s->list[i].name, x->name))
            return true;
    return false;
}

int xf_place_choose(const struct xf_stores *allowed, const char *want, const char *name,
                    struct xf_place *out, struct xf_err *err)
{
    char stores[200];

    memset(out, 0, sizeof(*out));
    if (!allowed->nr)
        return xf_fail(err, EPERM,
                       "that host takes no disks: its /etc/xen/xenferry.xml must name a directory "
                       "or a volume group for them, such as <receive><storage "
                       "dir=\"/srv/xen\"/></receive>");
    if (!want[0])
        out->store = allowed->list[0];
    else if (split(want, &out->store, out->name))
        return xf_fail(err, EINVAL,
                       "\"%.100s\" is not a place for a disk: name a file (/DIR/FILE), a directory "
                       "(/DIR/) or a volume group (vg:GROUP)",
                       want);
    if (want[0] && !is_allowed(allowed, &out->store)) {
        list_stores(allowed, stores, sizeof(stores));
        return xf_fail(err, EPERM,
                       "that host takes no disks in \"%.100s\": choose one of its stores (%s), or "
                       "add it as <storage> to its /etc/xen/xenferry.xml",
                       out->store.name, stores);
    }
    if (!out->name[0])
        snprintf(out->name, sizeof(out->name), "%.*s", (int)sizeof(out->name) - 1, name);
    if (!xf_disk_name_ok(out->name))
        return xf_fail(err, EINVAL,
                       "\"%.100s\" cannot be the name of a disk there: name the whole target, of "
                       "letters, digits and . _ + -",
                       out->name);
    snprintf(out->path, sizeof(out->path), "%s%s/%s", out->store.vg ? "/dev/" : "", out->store.name,
             out->name);
    return 0;
}

static int look_in_dir(const struct xf_place *p, uint64_t *free_bytes, struct xf_err *err)
{
    int dir = open(p->store.name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct statvfs fs;
    struct stat st;
    int rc = 0;

    if (dir < 0)
        return xf_fail(err, errno,
                       "its store %.200s cannot be opened there (%s); make that directory",
                       p->store.name, strerror(errno));
    if (!fstatat(dir, p->name, &st, AT_SYMLINK_NOFOLLOW))
        rc = xf_fail(err, EEXIST,
                     "\"%.300s\" exists there already; remove it, or name another target with "
                     "--disk",
                     p->path);
    else if (errno != ENOENT)
        rc = xf_fail(err, errno, "\"%.300s\" cannot be looked for there: %s", p->path,
                     strerror(errno));
    else if (fstatvfs(dir, &fs))
        rc = xf_fail(err, errno, "cannot tell how much is free in %.200s there: %s", p->store.name,
                     strerror(errno));
    else
        *free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    close(dir);
    return rc;
}

static int look_in_vg(const struct xf_place *p, uint64_t *free_bytes, struct xf_err *err)
{
    const char *vgs[] = {"vgs", "--noheadings", "--nosuffix", "--units",     "b",
                         "-o",  "vg_free",      "--",         p->store.name, NULL};
    char full[2 * XF_DISK_NAME + XF_STORE_NAME], out[XF_PROGRAM_OUT];
    const char *lvs[] = {"lvs", "--noheadings", "-o", "lv_name", "--", full, NULL};
    struct xf_err none = {0};
    unsigned long long n;
    char *end;

    if (xf_program_run(vgs, LVM_MS, out, err))
        return xf_wrap(err, "the volume group \"%.60s\" cannot be used there", p->store.name);
    errno = 0;
    n = strtoull(out, &end, 10);
    if (end == out || errno)
        return xf_fail(err, EPROTO, "vgs does not say how much is free in \"%.60s\" there",
                       p->store.name);
    *free_bytes = n;
    snprintf(full, sizeof(full), "%s/%s", p->store.name, p->name);
    if (xf_program_run(lvs, LVM_MS, out, &none))
        return 0;
    return xf_fail(err, EEXIST,
                   "the logical volume \"%.150s\" exists there already; remove it, or name another "
                   "target with --disk",
                   full);
}

int xf_place_look(const struct xf_place *p, uint64_t *free_bytes, struct xf_err *err)
{
    *free_bytes = 0;
    return p->store.vg ? look_in_vg(p, free_bytes, err) : look_in_dir(p, free_bytes, err);
}
