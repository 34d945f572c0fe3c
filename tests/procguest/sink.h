/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process guest as the engine sees it at the sink (struct xf_sink_ops, xf_pager_ops).
 * Absent pages are holes in its memory that userfaultfd reports when they are touched.
 *
 * Opened and used in the engine's process, which is not the guest's.
 */
#ifndef XF_PG_SINK_H
#define XF_PG_SINK_H

#include <pthread.h>
#include <stdatomic.h>

#include "precopy/vm.h"
#include "tests/procguest/guest.h"

/* Events at once: one for each vCPU, which waits for its end, and pages of one balloon step. */
#define PG_FOUND 256u

struct pg_sink {
    struct xf_sink_vm vm;
    struct pg_guest *g;
    bool garbage; /* fresh memory is full of it, as Xen's may be */
    bool loaded;
    atomic_bool gone; /* the guest was found to be no more */

    /* Absent pages; see pager.c. */
    int uffd, pidfd, again, epoll;
    pthread_mutex_t lock;
    struct xf_fault found[PG_FOUND]; /* read, not reported yet; under lock */
    unsigned nr_found;
};

/* paging: pages may be absent. */
int pg_sink_open(struct pg_sink *s, struct pg_guest *g, bool paging, struct xf_err *err);
void pg_sink_close(struct pg_sink *s);

/* Between sink.c and pager.c. */
extern const struct xf_pager_ops pg_pager_ops;
int pg_punch(struct pg_guest *g, const uint64_t *gfns, unsigned n, struct xf_err *err);

#endif
