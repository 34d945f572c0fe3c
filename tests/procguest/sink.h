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

#include "pages/vm.h"
#include "tests/procguest/fill.h"
#include "tests/procguest/guest.h"

struct pg_sink {
    struct xf_sink_vm vm;
    struct pg_guest *g;
    bool garbage; /* fresh memory is full of garbage, as Xen's may be */
    /* Pages are written where they lie: all memory exists already (pg_sink_resident()), or the
     * first touch of one gives the guest a large page. */
    bool direct;
    struct pg_fill fill;
    bool loaded;
    atomic_bool gone; /* the guest was found to have ended */

    /* Absent pages; see pager.c. */
    int uffd, pidfd, again, epoll;
    pthread_mutex_t lock;
    /* Faults read and not reported yet; under lock. It grows: the thread that reports may be in
     * put() and wait there for the guest, which goes on releasing pages as long as another
     * thread reads these events. */
    struct xf_fault *found;
    unsigned nr_found, max_found;
};

/* paging: pages may be absent, and all are small then: to take one out of a large page the kernel
 * must split it, and if it cannot at that moment the page stays, full of zeros. */
int pg_sink_open(struct pg_sink *s, struct pg_guest *g, bool paging, struct xf_err *err);
/* Allocate all its memory now, and map it, so that no page costs a fault later. */
int pg_sink_resident(struct pg_sink *s, struct xf_err *err);
void pg_sink_close(struct pg_sink *s);

/* Between sink.c and pager.c. */
extern const struct xf_pager_ops pg_pager_ops;
int pg_punch(struct pg_guest *g, const uint64_t *gfns, unsigned n, struct xf_err *err);

#endif
