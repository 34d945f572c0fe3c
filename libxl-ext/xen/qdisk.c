/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QEMU's qdisk backend reads and writes a guest's image through dom0's page cache (blkback does
 * not: it reads and writes the device). On shared storage this has two consequences. The guest's
 * writes may stay in the source's memory for half a minute, or until QEMU closes the image, which
 * in PULL is later than the guest's next read. And the destination's reads stay cached: QEMU reads
 * sector 0 when the disk is attached, readahead fetches 16 KiB, and the guest continues writing at
 * the source.
 *
 * So the source writes back in COPY, and once more when the guest is suspended; the destination
 * drops its cache before GO. Stock migration does neither.
 *
 * The last write-back follows QEMU's answers to all requests. The guest repeats at the destination
 * those requests whose answers it has not seen; if they reached the page cache here only later, and
 * the disk half a minute after that, they would undo the guest's newer writes.
 */
#include "libxl-ext/xen/qdisk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xenstore.h>

#include "libxl-ext/xen/qdisk_ring.h"
#include "transport/clock.h"

#define REST_MIN_S 1.0 /* between two flushes, at least; */
#define REST_PART 4.0  /* and this many times the duration of one */
#define RINGS_MS 3000
#define LOOK_BYTES (16u << 20)
#define PAGE 4096u

/* --- which images --- */

static char *value(struct xs_handle *xs, const char *dir, const char *node)
{
    char path[600];
    unsigned len;

    snprintf(path, sizeof(path), "%s/%s", dir, node);
    return xs_read(xs, XBT_NULL, path, &len);
}

/* From "aio:PATH", as written by libxl and read by QEMU. */
static int open_image(struct xf_qdisks *q, const char *devid, const char *backend,
                      const char *params, struct xf_err *err)
{
    struct xf_qdisk *d = &q->disk[q->nr];
    const char *path = params ? strchr(params, ':') : NULL;

    if (!path)
        return xf_fail(err, EINVAL, "xenstore does not say which image %s serves", backend);
    if (!path[1])
        return 0; /* a drive without a medium */
    if (strlen(path + 1) >= sizeof(d->path))
        return xf_fail(err, ENAMETOOLONG, "the path of the image that %s serves is too long",
                       backend);
    snprintf(d->path, sizeof(d->path), "%s", path + 1);
    d->fd = open(d->path, O_RDONLY | O_CLOEXEC);
    if (d->fd < 0)
        return xf_fail(err, errno, "cannot open disk image %s: %s", d->path, strerror(errno));
    snprintf(q->devid[q->nr++], sizeof(q->devid[0]), "%.20s", devid);
    return 0;
}

static int open_disk(struct xf_qdisks *q, struct xs_handle *xs, const char *list, const char *devid,
                     struct xf_err *err)
{
    char dir[96];
    char *backend, *params;
    unsigned owner;
    int end = 0, rc = 0;

    snprintf(dir, sizeof(dir), "%.40s/%.20s", list, devid);
    backend = value(xs, dir, "backend");
    if (!backend) /* detached just now */
        return errno == ENOENT ? 0 : xf_fail(err, errno, "cannot read %s in xenstore", dir);
    if (sscanf(backend, "/local/domain/%u/backend/qdisk/%n", &owner, &end) == 1 && end) {
        params = value(xs, backend, "params");
        if (owner)
            rc = xf_fail(err, EOPNOTSUPP,
                         "a disk is served by QEMU in domain %u, whose cache cannot be "
                         "written back from here; serve it from dom0",
                         owner);
        else
            rc = open_image(q, devid, backend, params, err);
        free(params);
    }
    free(backend);
    return rc;
}

int xf_qdisks_open(struct xf_qdisks *q, uint32_t domid, struct xf_err *err)
{
    struct xs_handle *xs = xs_open(0);
    char list[64], **ids;
    unsigned n = 0;
    int rc = 0;

    memset(q, 0, sizeof(*q));
    q->domid = domid;
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->changed, NULL);
    if (!xs)
        return xf_fail(err, errno, "cannot reach xenstore: %s", strerror(errno));
    snprintf(list, sizeof(list), "/libxl/%u/device/vbd", domid);
    ids = xs_directory(xs, XBT_NULL, list, &n);
    if (!ids && errno != ENOENT)
        rc = xf_fail(err, errno, "cannot read the guest's disks in xenstore: %s", strerror(errno));
    for (unsigned i = 0; ids && i < n && !rc; i++) {
        rc = q->nr == XF_QDISKS_MAX
                 ? xf_fail(err, E2BIG, "the guest has more than %u disks", XF_QDISKS_MAX)
                 : open_disk(q, xs, list, ids[i], err);
    }
    free(ids);
    xs_close(xs);
    while (rc && q->nr)
        close(q->disk[--q->nr].fd);
    return rc;
}

/* --- the source: write back --- */

static void flush_all(struct xf_qdisks *q, struct xf_err *err)
{
    /* The kernel reports an error only once, so it must be remembered. */
    for (unsigned i = 0; i < q->nr; i++)
        if (fsync(q->disk[i].fd))
            xf_fail(err, errno, "the guest's writes to %s have not all reached the disk: %s",
                    q->disk[i].path, strerror(errno));
}

static void *flush(void *arg)
{
    struct xf_qdisks *q = arg;
    struct xf_err err = {0};
    bool last = false;

    while (!last) {
        double began, took;
        struct timespec rest;

        xf_lock(&q->lock, xf_qdisks_lock);
        last = q->last;
        xf_unlock(&q->lock, xf_qdisks_lock);
        began = xf_now();
        if (last)
            xf_qdisk_rings_rest(q->domid, q->devid, q->nr, RINGS_MS, &err);
        flush_all(q, &err);
        took = xf_now() - began;
        rest = xf_time_in(
            (int)(1000 * (took * REST_PART > REST_MIN_S ? took * REST_PART : REST_MIN_S)));
        xf_lock(&q->lock, xf_qdisks_lock);
        q->last_s = took;
        while (!last && !q->last &&
               pthread_cond_clockwait(&q->changed, &q->lock, CLOCK_MONOTONIC, &rest) != ETIMEDOUT)
            ;
        xf_unlock(&q->lock, xf_qdisks_lock);
    }
    xf_lock(&q->lock, xf_qdisks_lock);
    q->done = true;
    q->why = err;
    pthread_cond_broadcast(&q->changed);
    xf_unlock(&q->lock, xf_qdisks_lock);
    return NULL;
}

int xf_qdisks_flush_begin(struct xf_qdisks *q, struct xf_err *err)
{
    int num;

    if (!q->nr || q->runs)
        return 0;
    num = pthread_create(&q->thread, NULL, flush, q);
    if (num)
        return xf_fail(err, num, "cannot start a thread to write disks back: %s", strerror(num));
    q->runs = true;
    return 0;
}

void xf_qdisks_flush_last(struct xf_qdisks *q)
{
    xf_lock(&q->lock, xf_qdisks_lock);
    q->last = true;
    pthread_cond_broadcast(&q->changed);
    xf_unlock(&q->lock, xf_qdisks_lock);
}

int xf_qdisks_flush_end(struct xf_qdisks *q, int timeout_ms, struct xf_err *err)
{
    struct timespec until = xf_time_in(timeout_ms);
    struct xf_err why;
    bool done;

    if (!q->runs)
        return 0;
    xf_qdisks_flush_last(q);
    xf_lock(&q->lock, xf_qdisks_lock);
    while (!q->done &&
           pthread_cond_clockwait(&q->changed, &q->lock, CLOCK_MONOTONIC, &until) != ETIMEDOUT)
        ;
    done = q->done;
    why = q->why;
    xf_unlock(&q->lock, xf_qdisks_lock);
    if (!done)
        return xf_fail(err, ETIMEDOUT, "the guest's disk %s took longer than %d s to write back",
                       q->disk[0].path, timeout_ms / 1000);
    return why.num ? xf_fail(err, why.num, "%s", why.text) : 0;
}

double xf_qdisks_last_s(struct xf_qdisks *q)
{
    double last_s;

    if (!q->nr)
        return 0;
    xf_lock(&q->lock, xf_qdisks_lock);
    last_s = q->last_s;
    xf_unlock(&q->lock, xf_qdisks_lock);
    return last_s;
}

/* --- the destination: drop cached reads --- */

/* Checks its beginning, the part read when a disk is attached. */
static bool is_cached(const struct xf_qdisk *d)
{
    off_t end = lseek(d->fd, 0, SEEK_END);
    size_t len = end > (off_t)LOOK_BYTES ? LOOK_BYTES : end > 0 ? (size_t)end : 0;
    unsigned char pages[LOOK_BYTES / PAGE];
    void *at = len ? mmap(NULL, len, PROT_READ, MAP_SHARED, d->fd, 0) : MAP_FAILED;
    bool found = false;

    if (at == MAP_FAILED)
        return false;
    if (!mincore(at, len, pages))
        for (size_t i = 0; i < (len + PAGE - 1) / PAGE; i++)
            found = found || (pages[i] & 1);
    munmap(at, len);
    return found;
}

int xf_qdisks_drop(struct xf_qdisks *q, struct xf_err *err)
{
    for (unsigned i = 0; i < q->nr; i++) {
        int num = posix_fadvise(q->disk[i].fd, 0, 0, POSIX_FADV_DONTNEED);

        if (!num && is_cached(&q->disk[i])) /* somebody was using it */
            num = posix_fadvise(q->disk[i].fd, 0, 0, POSIX_FADV_DONTNEED);
        if (num)
            return xf_fail(err, num, "cannot drop %s from this host's page cache: %s",
                           q->disk[i].path, strerror(num));
        if (is_cached(&q->disk[i]))
            return xf_fail(err, EBUSY,
                           "old contents of %s stay in this host's page cache: something here "
                           "writes to it or has it mapped",
                           q->disk[i].path);
    }
    return 0;
}

void xf_qdisks_leave_out(struct xf_qdisks *q, const char *path)
{
    for (unsigned i = 0; i < q->nr; i++) {
        if (strcmp(q->disk[i].path, path) != 0)
            continue;
        close(q->disk[i].fd);
        q->nr--;
        q->disk[i] = q->disk[q->nr];
        memcpy(q->devid[i], q->devid[q->nr], sizeof(q->devid[i]));
        return;
    }
}

void xf_qdisks_close(struct xf_qdisks *q)
{
    if (q->runs) {
        xf_qdisks_flush_last(q);
        pthread_join(q->thread, NULL);
        q->runs = false;
    }
    while (q->nr)
        close(q->disk[--q->nr].fd);
}
