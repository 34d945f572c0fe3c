/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The image that a disk is to move to: see disk_target.h. */
#include "libxl-ext/disks/disk_target.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SECTOR 512u
#define LOOK (1u << 20) /* of a device, to see whether it is the disk under another name */

static int name_it(struct xf_disk_target *t, const char *target, const char *source,
                   struct xf_err *err)
{
    const char *base = strrchr(source, '/');
    char dir[XF_TARGET_PATH], *whole;
    struct stat st;
    bool below = !stat(target, &st) && S_ISDIR(st.st_mode);
    int n;

    /* Everything but its last part must exist; QEMU's working directory is not ours. */
    snprintf(dir, sizeof(dir), "%s", target);
    whole = realpath(below ? target : dirname(dir), NULL);
    if (!whole || strlen(target) >= sizeof(dir)) {
        free(whole);
        return xf_fail(err, errno ? errno : ENAMETOOLONG, "cannot find the directory of %.300s: %s",
                       target, strerror(errno ? errno : ENAMETOOLONG));
    }
    if (!below) {
        base = strrchr(target, '/');
        base = base ? base + 1 : target;
    } else {
        base = base ? base + 1 : source;
    }
    n = snprintf(t->path, sizeof(t->path), "%s/%s", strcmp(whole, "/") ? whole : "", base);
    free(whole);
    if (!base[0] || n >= (int)sizeof(t->path))
        return xf_fail(err, EINVAL, "%.300s names no file", target);
    return 0;
}

static bool is_source(const struct stat *a, const char *source)
{
    struct stat b;

    if (stat(source, &b))
        return false;
    if (S_ISBLK(a->st_mode))
        return S_ISBLK(b.st_mode) && a->st_rdev == b.st_rdev;
    return a->st_dev == b.st_dev && a->st_ino == b.st_ino;
}

/* --- a device --- */

/* Two names of one store (multipath, a network device attached twice) have the same beginning. */
static int compare_beginning(const struct xf_disk_target *t, const char *source, struct xf_err *err)
{
    uint8_t *a = calloc(2, LOOK), *b = a ? a + LOOK : NULL;
    int fd = open(source, O_RDONLY | O_CLOEXEC);
    bool same = false;
    ssize_t n;

    if (a && fd >= 0) {
        n = pread(fd, a, LOOK, 0);
        same = n > 0 && pread(t->fd, b, (size_t)n, 0) == n && !memcmp(a, b, (size_t)n) &&
               (a[0] || memcmp(a, a + 1, (size_t)n - 1) != 0);
    }
    if (fd >= 0)
        close(fd);
    free(a);
    return same ? xf_fail(err, ELOOP,
                          "%.300s begins with what the disk begins with: if it is not the same "
                          "store under another name, clear its first MiB (blkdiscard, wipefs)",
                          t->path)
                : 0;
}

static int open_device(struct xf_disk_target *t, const char *source, uint64_t size,
                       struct xf_err *err)
{
    uint64_t has = 0;
    int fd = open(t->path, O_RDWR | O_EXCL | O_CLOEXEC); /* O_EXCL: mounted, a PV, a part of RAID */

    if (fd < 0)
        return xf_fail(err, errno, "cannot use %.300s: %s", t->path,
                       errno == EBUSY ? "it is in use" : strerror(errno));
    close(fd);
    t->device = true;
    t->fd = open(t->path, O_RDONLY | O_CLOEXEC);
    if (t->fd < 0 || ioctl(t->fd, BLKGETSIZE64, &has))
        return xf_fail(err, errno, "cannot use %.300s: %s", t->path, strerror(errno));
    if (has < size)
        return xf_fail(err, EFBIG, "%.300s has %llu bytes, the disk %llu", t->path,
                       (unsigned long long)has, (unsigned long long)size);
    return compare_beginning(t, source, err);
}

/* --- a file --- */

static int check_room(const struct xf_disk_target *t, const struct stat *st, uint64_t size,
                      struct xf_err *err)
{
    uint64_t used = (uint64_t)st->st_blocks * SECTOR, room;
    struct statvfs fs;

    if (!S_ISREG(st->st_mode) || used > size)
        used = size;
    if (fstatvfs(t->fd, &fs))
        return xf_fail(err, errno, "cannot see how much room %.300s has: %s", t->path,
                       strerror(errno));
    room = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (room < used)
        return xf_fail(err, ENOSPC, "there is no room for %.300s: %llu MiB of %llu MiB", t->path,
                       (unsigned long long)room >> 20, (unsigned long long)used >> 20);
    return 0;
}

static int create_file(struct xf_disk_target *t, const char *source, uint64_t size,
                       struct xf_err *err)
{
    struct stat st;
    bool sparse;

    if (stat(source, &st))
        return xf_fail(err, errno, "cannot look at %.300s: %s", source, strerror(errno));
    t->fd = open(t->path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (t->fd < 0)
        return xf_fail(err, errno, "cannot create %.300s: %s", t->path, strerror(errno));
    t->created = true;
    if (check_room(t, &st, size, err))
        return -1;
    sparse = !S_ISREG(st.st_mode) || (uint64_t)st.st_blocks * SECTOR < size;
    if (S_ISREG(st.st_mode) &&
        (fchown(t->fd, st.st_uid, st.st_gid) || fchmod(t->fd, st.st_mode & 0777)))
        return xf_fail(err, errno, "cannot give %.300s the owner and mode of %.300s: %s", t->path,
                       source, strerror(errno));
    if (ftruncate(t->fd, (off_t)size) ||
        (!sparse && fallocate(t->fd, 0, 0, (off_t)size) && errno != EOPNOTSUPP))
        return xf_fail(err, errno, "cannot make %.300s as large as the disk: %s", t->path,
                       strerror(errno));
    return 0;
}

int xf_disk_target_open(struct xf_disk_target *t, const char *target, const char *source,
                        uint64_t size, struct xf_err *err)
{
    struct stat st;
    int rc;

    *t = (struct xf_disk_target){.fd = -1};
    errno = 0;
    if (name_it(t, target, source, err))
        return -1;
    if (lstat(t->path, &st) && errno == ENOENT) {
        rc = create_file(t, source, size, err);
    } else if (stat(t->path, &st)) {
        rc = xf_fail(err, errno, "cannot look at %.300s: %s", t->path, strerror(errno));
    } else if (is_source(&st, source)) {
        rc = xf_fail(err, ELOOP, "%.300s is where the disk is already", t->path);
    } else if (S_ISBLK(st.st_mode)) {
        rc = open_device(t, source, size, err);
    } else {
        rc = xf_fail(err, EEXIST, "%.300s exists; name a new file, a directory or a block device",
                     t->path);
    }
    if (rc)
        xf_disk_target_close(t);
    return rc;
}

int xf_disk_target_keep(struct xf_disk_target *t, struct xf_err *err)
{
    char dir[XF_TARGET_PATH];
    int fd, rc = 0;

    snprintf(dir, sizeof(dir), "%s", t->path);
    t->created = false;
    if (fsync(t->fd))
        return xf_fail(err, errno, "cannot write %.300s back: %s", t->path, strerror(errno));
    if (t->device)
        return 0;
    fd = open(dirname(dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd))
        rc = xf_fail(err, errno, "cannot write the directory of %.300s back: %s", t->path,
                     strerror(errno));
    if (fd >= 0)
        close(fd);
    return rc;
}

void xf_disk_target_close(struct xf_disk_target *t)
{
    if (t->created)
        unlink(t->path);
    if (t->fd >= 0)
        close(t->fd);
    t->created = false;
    t->fd = -1;
}
