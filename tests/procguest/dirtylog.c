/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A dirty log by synchronous write protection: see dirtylog.h. */
#include "tests/procguest/dirtylog.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pages/bitmap.h"
#include "tests/procguest/guest.h"
#include "tests/procguest/uffd.h"
#include "transport/wire.h"

#define PAGE XF_PAGE_SIZE

void pg_log_init(struct pg_log *l, unsigned long *bits)
{
    pthread_mutexattr_t attr;

    l->bits = bits;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&l->lock, &attr);
    pthread_mutexattr_destroy(&attr);
}

/* An engine that died holding it has protected pages whose bits are still set, which is allowed. */
static void lock(struct pg_log *l)
{
    if (pthread_mutex_lock(&l->lock) == EOWNERDEAD)
        pthread_mutex_consistent(&l->lock);
}

void *pg_log_main(void *arg)
{
    struct pg_guest *g = arg;
    struct pollfd p = {.fd = g->uffd, .events = POLLIN};
    uint64_t at, len;

    for (;;) {
        int kind, rc = 0;

        poll(&p, 1, -1);
        kind = uffd_event(g->uffd, &at, &len);
        if (kind == 1) {
            lock(&g->log);
            xf_set(g->log.bits, (at - (uintptr_t)g->mem) / PAGE);
            /* The log may have been stopped meanwhile: then no thread waits any more. */
            rc = uffd_unprotect(g->uffd, (void *)(uintptr_t)at, PAGE) && errno != ENOENT;
            pthread_mutex_unlock(&g->log.lock);
        }
        if (kind < 0 || rc) {
            fprintf(stderr, "process guest: the dirty log: %s\n", strerror(errno));
            exit(2);
        }
    }
    return NULL;
}

int pg_log_remove(struct pg_guest *g, uint64_t gfn)
{
    int rc;

    lock(&g->log);
    rc = madvise(g->mem + gfn * PAGE, PAGE, MADV_REMOVE);
    xf_set(g->log.bits, gfn);
    pthread_mutex_unlock(&g->log.lock);
    return rc;
}

int pg_log_start(struct pg_guest *g, int uffd)
{
    size_t len = g->truth->nr_gfns * PAGE;
    int rc;

    lock(&g->log);
    memset(g->log.bits, 0, xf_bitmap_words(g->truth->nr_gfns) * sizeof(*g->log.bits));
    rc = uffd_protect(uffd, g->mem, len);
    pthread_mutex_unlock(&g->log.lock);
    return rc;
}

int pg_log_read(struct pg_guest *g, int uffd, bool take, unsigned long *bitmap)
{
    uint64_t n = g->truth->nr_gfns, end;
    int rc = 0;

    lock(&g->log);
    memcpy(bitmap, g->log.bits, xf_bitmap_words(n) * sizeof(*bitmap));
    for (uint64_t gfn = 0; take && !rc && (gfn = xf_bitmap_next(bitmap, gfn, n)) < n; gfn = end) {
        for (end = gfn; end < n && xf_bit(bitmap, end); end++)
            xf_unset(g->log.bits, end);
        rc = uffd_protect(uffd, g->mem + gfn * PAGE, (end - gfn) * PAGE);
    }
    pthread_mutex_unlock(&g->log.lock);
    return rc;
}
