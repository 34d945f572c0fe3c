/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A dirty log by synchronous write protection, for kernels without the asynchronous one (before
 * Linux 6.7): the first write to a page waits until a thread of the guest's own process has noted
 * the page and lifted its protection. It belongs to the guest and not to the engine, so that the
 * guest runs on when an engine is killed.
 *
 * A page whose bit is clear is protected; one whose bit is set may be. Both change under one lock,
 * which an engine may hold when it dies.
 */
#ifndef XF_PG_DIRTYLOG_H
#define XF_PG_DIRTYLOG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Set: the log is synchronous whatever the kernel supports. For tests. */
#define PG_SYNC_LOG_ENV "XF_PG_SYNC_LOG"

struct pg_guest;

/* In shared memory. */
struct pg_log {
    bool sync; /* this log is used; else PAGEMAP_SCAN's */
    pthread_mutex_t lock;
    unsigned long *bits; /* of each page */
};

/* All but the first return -1 with errno, or end the process as guest.h says. */
void pg_log_init(struct pg_log *l, unsigned long *bits);

/* In the guest's process: a thread that handles the writes, for ever. arg is the pg_guest. */
void *pg_log_main(void *arg);
/* The guest releases a page, or takes one: its protection is lifted without a fault. */
int pg_log_remove(struct pg_guest *g, uint64_t gfn);

/* In the engine, with its own number of the guest's descriptor: protect all pages; read the
 * written ones, as log_read of pages/vm.h does (take: and protect them again). */
int pg_log_start(struct pg_guest *g, int uffd);
int pg_log_read(struct pg_guest *g, int uffd, bool take, unsigned long *bitmap);

#endif
