/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Thin wrappers of the kernel interfaces that a process guest needs: userfaultfd and PAGEMAP_SCAN,
 * which Debian 12's headers do not have in full (Linux 6.7). Calls return -1 with errno.
 */
#ifndef XF_PG_UFFD_H
#define XF_PG_UFFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* In the guest's own process: a userfaultfd for absent pages, or for a dirty log; in any
 * process: for uffd_put() alone. EINVAL: this kernel cannot log writes asynchronously. */
enum uffd_use { UFFD_ABSENT, UFFD_LOG_ASYNC, UFFD_LOG_SYNC, UFFD_FILL };
int uffd_open(enum uffd_use use);
/*
 * For the main() of a test of the process guest: 0 if this process may use userfaultfd, which takes
 * root or vm.unprivileged_userfaultfd. Else says so, and returns the exit status of a test that
 * cannot run (77). Root gets 0 in any case, so that the test fails.
 */
int uffd_skip(void);
/* In another process: the same descriptor, for this one. */
int uffd_borrow(pid_t pid, int fd);

/* Catch first touches (absent) or log writes (else) in [addr, addr + len). */
int uffd_register(int uffd, void *addr, size_t len, bool absent);
int uffd_unregister(int uffd, void *addr, size_t len);
/* Start to log writes again. */
int uffd_protect(int uffd, void *addr, size_t len);
/* A synchronous log has recorded a write: let it continue. */
int uffd_unprotect(int uffd, void *addr, size_t len);

/* Put pages in, and wake the threads that wait for them. Returns the bytes put, which may be
 * fewer than len; 0 with errno = EEXIST: the first page exists already; EAGAIN: events must be
 * read first; ESRCH or ENOENT: the guest is gone. from == NULL: zeros. */
size_t uffd_put(int uffd, void *to, const void *from, size_t len);
int uffd_wake(int uffd, void *addr, size_t len);

/* Read one event. 0: none. 1: a first touch at *addr, or the first write. 2: [*addr, *addr +
 * *len) was released by the guest. */
int uffd_event(int uffd, uint64_t *addr, uint64_t *len);

/* /proc/PID/pagemap, for uffd_written(). */
int uffd_pagemap(pid_t pid);
struct uffd_region {
    uint64_t start, end, categories;
};
/* Up to n regions in [*at, end) of another process that were written since uffd_protect();
 * take: protect these again. Moves *at. Returns how many. */
int uffd_written(int pagemap, uint64_t *at, uint64_t end, bool take, struct uffd_region *r,
                 unsigned n);

#endif
