/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * State shared by the parts of the pager, from the bottom up: pager_faults.c (the pages that are
 * waited for), pager_pages.c (pages that arrive; the pullers), pager_urgent.c (the pager's thread),
 * pager.c (the caller's thread). Private to them.
 *
 * The threads:
 *   pager     one, from new to free: faults, the urgent channel
 *   pullers   one for each bulk channel, while there is a link: pushed pages
 *   caller    the control channel
 */
#ifndef XF_PAGER_PARTS_H
#define XF_PAGER_PARTS_H

#include <pthread.h>

#include "postcopy/pager.h"
#include "postcopy/times.h"
#include "pages/packing.h"
#include "transport/lock.h"

/* A page that the guest waits for. */
struct wait {
    uint64_t gfn;
    uint64_t since; /* CLOCK_MONOTONIC, ns */
    bool asked;     /* over the current link */
};

struct puller {
    struct xf_pager *p;
    struct xf_chan *chan;
    pthread_t thread;
    bool started;
};

/* A thread's buffers for taking pages; too big for a stack. */
struct scratch {
    struct xf_batch batch;
    uint64_t gfns[XF_BATCH_PAGES];
    const uint8_t *pages[XF_BATCH_PAGES];
    struct xf_view *view;
    uint8_t *payload;             /* XF_PAYLOAD_MAX bytes */
    struct xf_unpacker *unpacker; /* NULL until the first batch that needs it */
    struct xf_pack pack;
    uint8_t meta[XF_META_MAX];
};

XF_LOCK_ROLE(pager_lock);

struct xf_pager {
    /* xf_pager_new(). Constant. */
    struct xf_sink_vm *vm;
    struct xf_absent *absent;
    int silence_ms;
    int wake; /* eventfd: wakes the pager's thread */
    pthread_mutex_t lock;
    pthread_cond_t idle; /* to the caller: the urgent channel is free */

    /* The caller's thread. The pullers read the link; the pager's thread does while it has the
     * urgent channel. */
    struct xf_link *link; /* NULL: none */
    unsigned nr;
    struct puller pullers[XF_CHANNELS_MAX];
    pthread_t thread; /* the pager's */
    bool started;
    bool source_knows;  /* of the guest's end */
    bool tells_latency; /* the process at the source takes it: its last PING */

    /* The pager's thread, from before its start until its end. */
    struct scratch *scratch;

    /* Under the lock. The caller lends the urgent channel to the pager's thread, requests it back,
     * and stops the thread; the thread returns the channel, or drops it when it has failed. */
    struct xf_chan *urgent XF_GUARDED(pager_lock); /* NULL: no link */
    bool take_back XF_GUARDED(pager_lock);         /* that thread must return the urgent channel */
    bool stop XF_GUARDED(pager_lock);              /* the pager's thread must end */
    bool over XF_GUARDED(pager_lock);              /* the pager's thread has ended */

    /* Under the lock. The pager's thread adds waits and requests the pages; it and the pullers end
     * the waits. One for each page that is waited for, grown as needed; nr_new: those not requested
     * yet. */
    struct wait *waits XF_GUARDED(pager_lock);
    unsigned nr_waits XF_GUARDED(pager_lock), max_waits XF_GUARDED(pager_lock);
    unsigned nr_new XF_GUARDED(pager_lock);
    uint64_t faults XF_GUARDED(pager_lock), requested XF_GUARDED(pager_lock);
    struct xf_times times XF_GUARDED(pager_lock);

    /* Under the lock. The first error of the pager's thread and the pullers; the caller clears that
     * of a link. */
    struct xf_err lost XF_GUARDED(pager_lock);  /* what happened to the link */
    struct xf_err error XF_GUARDED(pager_lock); /* what ends PULL: ESRCH is the guest's end */

    /* Under the lock. Any thread, by xf_pager_network(). */
    uint64_t held_ns XF_GUARDED(pager_lock); /* hold of the guest's network; 0: not over, or none */

    /* Without the lock. The pager's thread and the pullers. */
    struct xf_cost copy; /* taking pages off the link */
};

/* --- pager_faults.c: the pages that are waited for --- */

/* Take the faults that Xen reports: absent pages are waited for, dropped ones no longer. -1 with
 * ESRCH: the guest has ended. The pager's thread. */
int xf_pager_drain_faults(struct xf_pager *p, struct xf_err *err);
/* These pages have been put in: end the waits for them. The pager's thread and the pullers. */
void xf_pager_arrived(struct xf_pager *p, const uint64_t *gfns, unsigned n);

/* --- pager_pages.c: pages that arrive --- */

/* NULL with an error: out of memory, or the guest's memory cannot be viewed. Any thread. */
struct scratch *xf_pager_scratch_new(struct xf_sink_vm *vm, struct xf_err *err);
void xf_pager_scratch_free(struct xf_sink_vm *vm, struct scratch *x); /* NULL allowed */

/* Note the error of a thread, unless there is an earlier one: set_error ends PULL, set_lost only
 * the link. Any thread. */
void xf_pager_set_error(struct xf_pager *p, const struct xf_err *err);
void xf_pager_set_lost(struct xf_pager *p, const struct xf_err *err);
/* There is no memory for a page now. This is not final: the guest waits for it, the link is
 * given up with this reason, and there may be memory when the link is made again. */
bool xf_pager_is_short(const struct xf_err *err);
/* Would a thread that takes pages meet this error over another link, too? */
bool xf_pager_is_ours(const struct xf_err *err);

/* A batch whose message has been received: receive its payload and put it into the guest. x is the
 * calling thread's, and holds m's meta part. -1: the link's error, or the guest's. The pager's
 * thread and the pullers. */
int xf_pager_take(struct xf_pager *p, struct xf_chan *chan, const struct xf_msg *m,
                  struct scratch *x, struct xf_err *err);
/* Start a puller for each bulk channel of p->link; aborting the link ends them. After -1 some may
 * run. The caller's thread. */
int xf_pager_start_pullers(struct xf_pager *p, struct xf_err *err);

/* --- pager_urgent.c --- */

/* The pager's thread, started by xf_pager_new(). */
void *xf_pager_main(void *pager);

#endif
