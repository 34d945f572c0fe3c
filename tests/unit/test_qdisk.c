/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images that QEMU serves, against a xenstore made up here: which are found, that what was written
 * is on the disk before GO or the move hears why not, and that what was read is forgotten.
 */
#include <CUnit/Basic.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenstore.h>

#include "libxl-ext/xen/qdisk.h"
#include "libxl-ext/xen/qdisk_ring.h"
#include "tests/unit/suite.h"
#include "transport/clock.h"

#define DISKS 3
#define BYTES (64 * 4096)

static char image[] = "/var/tmp/xf-qdisk-XXXXXX" /* no tmpfs */;

static struct {
    char backend[DISKS][80], params[DISKS][64];
    int no_list;
} store;

static struct {
    atomic_int flushes, fail; /* fail: errno of the next flush */
    atomic_int slow_ms;
    atomic_int rests, busy; /* looks at the rings; what they find */
    atomic_int at_rest;     /* flushes until then */
} disk;

/* --- instead of the C library --- */

int fsync(int fd)
{
    CU_ASSERT(fd >= 0);
    if (disk.slow_ms)
        usleep((useconds_t)disk.slow_ms * 1000);
    disk.flushes++;
    errno = atomic_exchange(&disk.fail, 0); /* the kernel tells it once */
    return errno ? -1 : 0;
}

/* --- instead of qdisk_ring.c --- */

int xf_qdisk_rings_rest(uint32_t domid, const char (*devids)[24], unsigned n, int timeout_ms,
                        struct xf_err *err)
{
    CU_ASSERT(domid == 9 && n == 1 && !strcmp(devids[0], "1") && timeout_ms > 0);
    disk.at_rest = disk.flushes;
    disk.rests++;
    return disk.busy ? xf_fail(err, EBUSY, "it has not come to an end") : 0;
}

/* --- instead of xenstore --- */

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    return (struct xs_handle *)&store;
}

void xs_close(struct xs_handle *h)
{
    (void)h;
}

char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned *num)
{
    char **list = malloc(DISKS * (sizeof(*list) + 2)), *text;

    (void)h;
    (void)t;
    CU_ASSERT_STRING_EQUAL(path, "/libxl/9/device/vbd");
    *num = 0;
    errno = store.no_list;
    if (store.no_list) {
        free(list);
        return NULL;
    }
    text = (char *)(list + DISKS);
    for (unsigned i = 0; i < DISKS && store.backend[i][0]; i++) {
        list[i] = text + 2 * i;
        snprintf(list[i], 2, "%u", i);
        ++*num;
    }
    return list;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned *len)
{
    char name[96];

    (void)h;
    (void)t;
    (void)len;
    for (unsigned i = 0; i < DISKS; i++) {
        snprintf(name, sizeof(name), "/libxl/9/device/vbd/%u/backend", i);
        if (!strcmp(path, name))
            return strdup(store.backend[i]);
        snprintf(name, sizeof(name), "%s/params", store.backend[i]);
        if (!strcmp(path, name) && store.params[i][0])
            return strdup(store.params[i]);
    }
    errno = ENOENT;
    return NULL;
}

static void has(unsigned i, const char *kind, unsigned owner, const char *params)
{
    snprintf(store.backend[i], sizeof(store.backend[i]), "/local/domain/%u/backend/%s/9/%u", owner,
             kind, i);
    snprintf(store.params[i], sizeof(store.params[i]), "%s", params);
}

static void reset(void)
{
    char params[64];

    memset(&store, 0, sizeof(store));
    memset(&disk, 0, sizeof(disk));
    snprintf(params, sizeof(params), "aio:%s", image);
    has(0, "vbd", 0, "/dev/nothing"); /* blkback's: not ours to flush */
    has(1, "qdisk", 0, params);
}

/* --- */

static void which_there_are(void)
{
    static struct xf_qdisks q;
    struct xf_err err = {0};

    reset();
    has(2, "qdisk", 0, "aio:"); /* a CD drive without one */
    CU_ASSERT_EQUAL(xf_qdisks_open(&q, 9, &err), 0);
    CU_ASSERT_EQUAL(q.nr, 1);
    CU_ASSERT_STRING_EQUAL(q.disk[0].path, image);
    xf_qdisks_close(&q);

    memset(&store, 0, sizeof(store));
    store.no_list = ENOENT; /* no disks at all */
    CU_ASSERT_EQUAL(xf_qdisks_open(&q, 9, &err), 0);
    CU_ASSERT_EQUAL(q.nr, 0);
    CU_ASSERT_EQUAL(xf_qdisks_flush_begin(&q, &err), 0);
    CU_ASSERT_EQUAL(xf_qdisks_flush_end(&q, 1000, &err), 0);
    CU_ASSERT_EQUAL(xf_qdisks_drop(&q, &err), 0);
    xf_qdisks_close(&q);
    CU_ASSERT_EQUAL(err.num, 0);
}

/* What is served and cannot be flushed is said in CHECK. */
static void which_cannot_be(void)
{
    static const struct {
        unsigned owner;
        const char *params, *says;
    } odd[] = {{0, "aio:/nowhere/at/all", "/nowhere/at/all"},
               {4, "aio:/dev/null", "domain 4"},
               {0, "", "which image"},
               {0, "no colon", "which image"}};
    static struct xf_qdisks q;

    for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        struct xf_err err = {0};

        reset();
        has(2, "qdisk", odd[i].owner, odd[i].params);
        CU_ASSERT_EQUAL(xf_qdisks_open(&q, 9, &err), -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, odd[i].says));
        CU_ASSERT_EQUAL(q.nr, 0);
        xf_qdisks_close(&q);
    }
    struct xf_err err = {0};

    store.no_list = EIO;
    CU_ASSERT_EQUAL(xf_qdisks_open(&q, 9, &err), -1);
    xf_qdisks_close(&q);
}

/* In COPY it is written back now and then; once the guest is suspended, once more and then no more.
 */
static void written_back(void)
{
    static struct xf_qdisks q;
    struct xf_err err = {0};
    int before;

    reset();
    CU_ASSERT_EQUAL(xf_qdisks_open(&q, 9, &err), 0);
    CU_ASSERT_EQUAL(xf_qdisks_flush_begin(&q, &err), 0);
    while (disk.flushes < 2) /* the second comes after a rest, by itself */
        usleep(1000);
    disk.slow_ms = 50;
    before = disk.flushes;
    xf_qdisks_flush_last(&q);
    CU_ASSERT_EQUAL(xf_qdisks_flush_end(&q, 5000, &err), 0);
    CU_ASSERT(disk.flushes > before);
    CU_ASSERT_EQUAL(disk.rests, 1);
    CU_ASSERT_EQUAL(disk.flushes, disk.at_rest + 1);
    CU_ASSERT(q.last_s >= 0.05);
    before = disk.flushes;
    xf_qdisks_close(&q);
    CU_ASSERT_EQUAL(disk.flushes, before);
    CU_ASSERT_EQUAL(err.num, 0);
}

/* An error is the move's, whenever it happened: the kernel does not tell it again. */
static void lost_on_its_way(void)
{
    static struct xf_qdisks q;
    struct xf_err err = {0};

    reset();
    disk.fail = EIO;
    CU_ASSERT_EQUAL(xf_qdisks_open(&q, 9, &err), 0);
    CU_ASSERT_EQUAL(xf_qdisks_flush_begin(&q, &err), 0);
    while (!disk.flushes)
        usleep(1000);
    CU_ASSERT_EQUAL(xf_qdisks_flush_end(&q, 5000, &err), -1);
    CU_ASSERT(err.num == EIO && strstr(err.text, image));
    CU_ASSERT(disk.flushes >= 2);
    xf_qdisks_close(&q);
}

/* A server that does not answer keeps no guest suspended for long. */
static void too_slow(void)
{
    static struct xf_qdisks q;
    struct xf_err err = {0};
    double began = xf_now();

    reset();
    disk.slow_ms = 700;
    CU_ASSERT_EQUAL(xf_qdisks_open(&q, 9, &err), 0);
    CU_ASSERT_EQUAL(xf_qdisks_flush_begin(&q, &err), 0);
    CU_ASSERT_EQUAL(xf_qdisks_flush_end(&q, 100, &err), -1);
    CU_ASSERT_EQUAL(err.num, ETIMEDOUT);
    CU_ASSERT(xf_now() - began < 0.6);
    xf_qdisks_close(&q);

    reset();
    disk.busy = 1;
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_qdisks_open(&q, 9, &err), 0);
    CU_ASSERT_EQUAL(xf_qdisks_flush_begin(&q, &err), 0);
    CU_ASSERT_EQUAL(xf_qdisks_flush_end(&q, 5000, &err), -1);
    CU_ASSERT_EQUAL(err.num, EBUSY);
    xf_qdisks_close(&q);
}

static unsigned cached(int fd)
{
    unsigned char pages[BYTES / 4096];
    unsigned n = 0;
    void *at = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);

    if (at == MAP_FAILED || mincore(at, BYTES, pages))
        return 0;
    for (unsigned i = 0; i < sizeof(pages); i++)
        n += pages[i] & 1;
    munmap(at, BYTES);
    return n;
}

static void forgotten(void)
{
    static struct xf_qdisks q;
    struct xf_err err = {0};
    char page[4096];
    void *at;

    reset();
    CU_ASSERT_EQUAL(xf_qdisks_open(&q, 9, &err), 0);
    CU_ASSERT_EQUAL(fdatasync(q.disk[0].fd), 0); /* dirty pages cannot be forgotten */
    CU_ASSERT_EQUAL(pread(q.disk[0].fd, page, sizeof(page), 0), (ssize_t)sizeof(page));
    CU_ASSERT(cached(q.disk[0].fd) > 0);
    CU_ASSERT_EQUAL(xf_qdisks_drop(&q, &err), 0);
    CU_ASSERT_EQUAL(cached(q.disk[0].fd), 0);
    CU_ASSERT_EQUAL(err.num, 0);

    /* Mapped and used by somebody: it stays, and must not be taken for forgotten. */
    at = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_POPULATE, q.disk[0].fd, 0);
    CU_ASSERT(at != MAP_FAILED && cached(q.disk[0].fd) > 0);
    CU_ASSERT_EQUAL(xf_qdisks_drop(&q, &err), -1);
    CU_ASSERT(err.num == EBUSY && strstr(err.text, image));
    if (at != MAP_FAILED)
        munmap(at, 4096);
    xf_qdisks_close(&q);
}

int main(void)
{
    CU_TestInfo tests[] = {{"which images there are", which_there_are},
                           {"which cannot be flushed", which_cannot_be},
                           {"written back before GO", written_back},
                           {"lost on its way", lost_on_its_way},
                           {"too slow", too_slow},
                           {"read early, and forgotten", forgotten},
                           CU_TEST_INFO_NULL};
    static char zeros[BYTES];
    int fd = mkstemp(image), rc;

    if (fd < 0 || write(fd, zeros, sizeof(zeros)) != (ssize_t)sizeof(zeros)) {
        perror("qdisk: no image");
        return 1;
    }
    rc = run_suite("qdisk", tests);
    close(fd);
    unlink(image);
    return rc;
}
