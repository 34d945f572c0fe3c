/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The image or logical volume that is made for a disk that moves here: see store.h. */
#include "disks/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disks/program.h"

#define LVM_MS 60000
#define PIECE 65536

static int open_dir(const struct xf_place *p, struct xf_err *err)
{
    int dir = open(p->store.name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0)
        xf_fail(err, errno, "cannot open %.200s: %s", p->store.name, strerror(errno));
    return dir;
}

/* All blocks now, so that the store cannot run out of them later. Where that is not possible
 * without writing them (EOPNOTSUPP) the file is sparse after all. */
static int give_size(int fd, uint64_t bytes, bool sparse)
{
    if (ftruncate(fd, (off_t)bytes))
        return -1;
    if (sparse || !bytes || !fallocate(fd, 0, 0, (off_t)bytes))
        return 0;
    return errno == EOPNOTSUPP ? 0 : -1;
}

static int make_file(struct xf_made *m, uint64_t bytes, bool sparse, int *fd, struct xf_err *err)
{
    int dir = open_dir(&m->place, err), image, num;
    struct stat st;

    if (dir < 0)
        return -1;
    image = openat(dir, m->place.name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    num = errno;
    if (image < 0) {
        close(dir);
        return xf_fail(err, num, "cannot create %.300s: %s", m->place.path, strerror(num));
    }
    if (fstat(image, &st)) {
        num = errno;
        unlinkat(dir, m->place.name, 0);
    } else {
        m->dev = st.st_dev;
        m->ino = st.st_ino;
        m->exists = true;
        num = give_size(image, bytes, sparse) ? errno : 0;
    }
    close(dir);
    if (!num) {
        *fd = image;
        return 0;
    }
    close(image);
    xf_fail(err, num, "cannot make %.300s %llu bytes long: %s", m->place.path,
            (unsigned long long)bytes, strerror(num));
    xf_made_remove(m, err);
    return -1;
}

/* A volume is as long as its extents: what another one left behind `bytes` is not for the guest. */
static int clear_rest(int fd, uint64_t bytes)
{
    static const char zeros[PIECE];
    off_t end = lseek(fd, 0, SEEK_END), at = (off_t)bytes;

    if (end < at) {
        errno = ENOSPC;
        return -1;
    }
    while (at < end) {
        ssize_t n = pwrite(fd, zeros, end - at < PIECE ? (size_t)(end - at) : PIECE, at);

        if (n <= 0)
            return -1;
        at += n;
    }
    return 0;
}

static int make_volume(struct xf_made *m, uint64_t bytes, int *fd, struct xf_err *err)
{
    char size[32], out[XF_PROGRAM_OUT];
    const char *lvcreate[] = {"lvcreate",
                              "--yes",
                              "--quiet",
                              "--wipesignatures",
                              "n",
                              "--zero",
                              "n",
                              "--size",
                              size,
                              "--name",
                              m->place.name,
                              "--",
                              m->place.store.name,
                              NULL};
    int num = 0, volume;

    snprintf(size, sizeof(size), "%llub", (unsigned long long)bytes);
    if (xf_program_run(lvcreate, LVM_MS, out, err))
        return xf_wrap(err, "cannot make the logical volume %.300s", m->place.path);
    m->exists = true;
    volume = open(m->place.path, O_RDWR | O_CLOEXEC);
    if (volume < 0 || clear_rest(volume, bytes))
        num = errno ? errno : EIO;
    if (!num) {
        *fd = volume;
        return 0;
    }
    if (volume >= 0)
        close(volume);
    xf_fail(err, num, "cannot write to the logical volume %.300s: %s", m->place.path,
            strerror(num));
    xf_made_remove(m, err);
    return -1;
}

int xf_made_create(struct xf_made *m, const struct xf_place *p, uint64_t bytes, bool sparse,
                   int *fd, struct xf_err *err)
{
    memset(m, 0, sizeof(*m));
    m->place = *p;
    *fd = -1;
    if (!bytes || bytes % 512 || bytes > INT64_MAX)
        return xf_fail(err, EINVAL, "a disk of %llu bytes cannot be made",
                       (unsigned long long)bytes);
    return p->store.vg ? make_volume(m, bytes, fd, err) : make_file(m, bytes, sparse, fd, err);
}

int xf_made_sync(const struct xf_made *m, int fd, struct xf_err *err)
{
    int dir, rc = 0;

    if (fsync(fd))
        return xf_fail(err, errno, "not everything written to %.300s is on the disk: %s",
                       m->place.path, strerror(errno));
    if (m->place.store.vg)
        return 0;
    dir = open_dir(&m->place, err);
    if (dir < 0)
        return -1;
    if (fsync(dir))
        rc = xf_fail(err, errno, "the name of %.300s is not on the disk: %s", m->place.path,
                     strerror(errno));
    close(dir);
    return rc;
}

static int remove_file(const struct xf_made *m, struct xf_err *err)
{
    int dir = open_dir(&m->place, err), rc = 0;
    struct stat st;

    if (dir < 0)
        return -1;
    if (fstatat(dir, m->place.name, &st, AT_SYMLINK_NOFOLLOW))
        rc = errno == ENOENT
                 ? 0
                 : xf_fail(err, errno, "%.300s remains: %s", m->place.path, strerror(errno));
    else if (st.st_dev == m->dev && st.st_ino == m->ino && unlinkat(dir, m->place.name, 0))
        rc = xf_fail(err, errno, "%.300s could not be removed and remains: %s", m->place.path,
                     strerror(errno));
    close(dir);
    return rc;
}

static int remove_volume(const struct xf_made *m, struct xf_err *err)
{
    char full[XF_STORE_NAME + XF_DISK_NAME], out[XF_PROGRAM_OUT];
    const char *lvremove[] = {"lvremove", "--yes", "--quiet", "--", full, NULL};

    snprintf(full, sizeof(full), "%s/%s", m->place.store.name, m->place.name);
    if (!xf_program_run(lvremove, LVM_MS, out, err))
        return 0;
    return xf_wrap(err, "the logical volume %.300s remains", m->place.path);
}

int xf_made_remove(struct xf_made *m, struct xf_err *err)
{
    if (!m->exists)
        return 0;
    if (m->place.store.vg ? remove_volume(m, err) : remove_file(m, err))
        return -1;
    m->exists = false;
    return 0;
}
