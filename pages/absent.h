/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which pages of the guest are not at the sink yet although it may run without them, and the only
 * way to put them in. A page may arrive twice, on two channels at once (requested, and pushed at
 * the same time): it is put in once.
 *
 * Threads: put and drop may be called from any thread, mark from the one that runs the move. A
 * thread that maps or populates pages holds the lock shared meanwhile; mark holds it exclusively.
 * So no page that is mapped becomes absent, whatever a peer sends and when.
 */
#ifndef XF_ABSENT_H
#define XF_ABSENT_H

#include <pthread.h>
#include <stdatomic.h>

#include "pages/bitmap.h"
#include "pages/cost.h"
#include "pages/vm.h"
#include "transport/tick.h"
#include "transport/lock.h"

XF_LOCK_ROLE(xf_absent_lock);

struct xf_absent {
    struct xf_sink_vm *vm;
    unsigned long *missing;       /* bits, atomic: absent, and nobody is putting it in just now */
    atomic_uint_fast64_t nr;      /* absent pages, including those being put in */
    uint64_t at_go;               /* nr when the guest began to run here; 0: no PULL */
    unsigned long *rings, *built; /* of the vm; constant */
    pthread_rwlock_t lock;
    struct xf_tick tick; /* of xf_absent_mark(), after each batch; the caller's to set after init */
    struct xf_cost populate, evict, put; /* for the report. Any thread */
};

int xf_absent_init(struct xf_absent *a, struct xf_sink_vm *vm, struct xf_err *err);
void xf_absent_free(struct xf_absent *a);

/*
 * Mark a set absent; `present` (atomic bits, added to) says which gfns have memory now. Gfns
 * that cannot be absent are added to `refused` (nr_gfns bits).
 */
int xf_absent_mark(struct xf_absent *a, struct xf_view *v, const struct xf_extents *set,
                   unsigned long *present, unsigned long *refused, struct xf_err *err);

/*
 * Of n <= XF_BATCH_PAGES pages, put in those that are absent; pages[i] as in the `put` op. Returns
 * their number, or -1 with nothing lost: each is still absent, or in.
 */
int xf_absent_put(struct xf_absent *a, struct xf_view *v, const uint64_t *gfns,
                  const uint8_t *const *pages, unsigned n, struct xf_err *err);

/* The guest has no page at gfn any more. */
void xf_absent_drop(struct xf_absent *a, uint64_t gfn);

static inline bool xf_is_absent(const struct xf_absent *a, uint64_t gfn)
{
    return xf_bit_atomic(a->missing, gfn);
}

#endif
