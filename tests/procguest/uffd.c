/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* userfaultfd and PAGEMAP_SCAN: see uffd.h. */
#include "tests/procguest/uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From include/uapi/linux/userfaultfd.h and fs.h of Linux 6.7. */
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef PAGEMAP_SCAN
#define PAGE_IS_WRITTEN (1 << 1)
#define PM_SCAN_WP_MATCHING (1 << 0)
#define PM_SCAN_CHECK_WPASYNC (1 << 1)
struct pm_scan_arg {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#endif

int uffd_open(enum uffd_use use)
{
    static const uint64_t features[] = {
        [UFFD_ABSENT] = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_EVENT_REMOVE,
        [UFFD_LOG_ASYNC] = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM |
                           UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_WP_ASYNC,
        /* Shared memory that does not exist yet is protected as well (Linux 5.19). */
        [UFFD_LOG_SYNC] = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
        [UFFD_FILL] = UFFD_FEATURE_MISSING_SHMEM,
    };
    struct uffdio_api api = {.api = UFFD_API, .features = features[use]};
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return -1;
    if (!ioctl(fd, UFFDIO_API, &api))
        return fd;
    close(fd);
    errno = EINVAL;
    return -1;
}

int uffd_skip(void)
{
    int fd = geteuid() ? uffd_open(UFFD_ABSENT) : 0;

    if (fd > 0)
        close(fd);
    if (fd >= 0)
        return 0;
    printf("needs root: userfaultfd: %s\n", strerror(errno));
    return 77;
}

int uffd_borrow(pid_t pid, int fd)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    int got = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
    int num = errno;

    if (pidfd >= 0)
        close(pidfd);
    errno = num;
    return got;
}

int uffd_register(int uffd, void *addr, size_t len, bool absent)
{
    struct uffdio_register r = {
        .range = {(uintptr_t)addr, len},
        .mode = absent ? UFFDIO_REGISTER_MODE_MISSING : UFFDIO_REGISTER_MODE_WP,
    };

    return ioctl(uffd, UFFDIO_REGISTER, &r);
}

int uffd_unregister(int uffd, void *addr, size_t len)
{
    struct uffdio_range r = {(uintptr_t)addr, len};

    return ioctl(uffd, UFFDIO_UNREGISTER, &r);
}

int uffd_protect(int uffd, void *addr, size_t len)
{
    struct uffdio_writeprotect w = {.range = {(uintptr_t)addr, len},
                                    .mode = UFFDIO_WRITEPROTECT_MODE_WP};

    return ioctl(uffd, UFFDIO_WRITEPROTECT, &w);
}

int uffd_unprotect(int uffd, void *addr, size_t len)
{
    struct uffdio_writeprotect w = {
        .range = {(uintptr_t)addr, len}}; /* and wake the waiting threads */

    return ioctl(uffd, UFFDIO_WRITEPROTECT, &w);
}

size_t uffd_put(int uffd, void *to, const void *from, size_t len)
{
    struct uffdio_copy c = {.dst = (uintptr_t)to, .src = (uintptr_t)from, .len = len};
    struct uffdio_zeropage z = {.range = {(uintptr_t)to, len}};
    int64_t put;

    if (from)
        put = ioctl(uffd, UFFDIO_COPY, &c) ? c.copy : (int64_t)len;
    else
        put = ioctl(uffd, UFFDIO_ZEROPAGE, &z) ? z.zeropage : (int64_t)len;
    if (put > 0)
        return (size_t)put;
    /* The kernel reports the error in the field if it got that far, else in errno. */
    if (put < 0)
        errno = (int)-put;
    return 0;
}

int uffd_wake(int uffd, void *addr, size_t len)
{
    struct uffdio_range r = {(uintptr_t)addr, len};

    return ioctl(uffd, UFFDIO_WAKE, &r);
}

int uffd_event(int uffd, uint64_t *addr, uint64_t *len)
{
    struct uffd_msg m;
    ssize_t n = read(uffd, &m, sizeof(m));

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (n != sizeof(m)) {
        errno = EIO;
        return -1;
    }
    if (m.event == UFFD_EVENT_PAGEFAULT) {
        *addr = m.arg.pagefault.address & ~4095ull;
        return 1;
    }
    if (m.event == UFFD_EVENT_REMOVE) {
        *addr = m.arg.remove.start;
        *len = m.arg.remove.end - m.arg.remove.start;
        return 2;
    }
    errno = EPROTO;
    return -1;
}

int uffd_pagemap(pid_t pid)
{
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

int uffd_written(int pagemap, uint64_t *at, uint64_t end, bool take, struct uffd_region *r,
                 unsigned n)
{
    struct pm_scan_arg a = {
        .size = sizeof(a),
        .flags = take ? PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC : 0,
        .start = *at,
        .end = end,
        .vec = (uintptr_t)r,
        .vec_len = n,
        .category_mask = PAGE_IS_WRITTEN,
        .return_mask = PAGE_IS_WRITTEN,
    };
    int got = ioctl(pagemap, PAGEMAP_SCAN, &a);

    if (got >= 0)
        *at = a.walk_end;
    return got;
}
