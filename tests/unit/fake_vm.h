/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest that is plain memory of this process, behind pages/vm.h: one copy at the
 * source, one at the sink. It behaves as Xen does where that is hard to get right: pages
 * are mapped as aliases (a mapping outlives its page), a page that is ballooned in is not
 * logged until the next CLEAN, fresh memory at the sink is garbage, and what Xen itself
 * writes shows only in the last dirty log.
 *
 * Every operation calls f->hook first, so that a test can act at any moment by name, and
 * fails when f->fail says so. Broken rules (two copies running, a hole populated) are
 * counted in f->broken, because CUnit's assertions belong to one thread.
 */
#ifndef XF_FAKE_VM_H
#define XF_FAKE_VM_H

#include <pthread.h>
#include <stdatomic.h>

#include "pages/vm.h"

enum fake_op {
    FAKE_VIEW_OPEN,
    FAKE_CLASSIFY,
    FAKE_MAP,
    FAKE_LOG_START,
    FAKE_PEEK,
    FAKE_CLEAN,
    FAKE_LAST,
    FAKE_LOG_STOP,
    FAKE_POPULATION,
    FAKE_TARGET,
    FAKE_ALIVE,
    FAKE_SUSPEND,
    FAKE_RESUME,
    FAKE_STATE,
    /* the sink's */
    FAKE_SINK_VIEW,
    FAKE_POPULATE,
    FAKE_DEPOPULATE,
    FAKE_SINK_MAP,
    FAKE_SET_TARGET,
    FAKE_LOAD_STATE,
    FAKE_LOAD_DEVICES,
    FAKE_RUN,
    FAKE_OPS
};

/* The layout of the fake guest. */
#define FAKE_GFNS 5003u  /* no multiple of a word or of a batch */
#define FAKE_HOLE1 1000u /* no memory, ever: [HOLE1, HOLE1 + 100) */
#define FAKE_HOLE2 2048u /* a hole as long as a whole batch, and aligned like one */
#define FAKE_HOLE2_LEN 1024u
#define FAKE_SPARE 4000u /* [SPARE, SPARE + 100): absent at first, ballooned in by tests */
#define FAKE_RING 4990u  /* two rings, and behind them a page that is built but moved */
#define FAKE_STATE_BYTES 9000u

struct fake_side {
    int fd;        /* the memory: a memfd */
    uint8_t *mem;  /* all of it */
    uint8_t *has;  /* has[gfn]: there is a page */
    uint8_t *ever; /* there has been a page */
    uint64_t pages;
};

struct fake {
    struct xf_source_vm src;
    struct xf_sink_vm dst;
    pthread_mutex_t lock; /* of all below, unless atomic or constant */
    struct fake_side at_source, at_sink;
    uint8_t *dirty, *logged;
    bool log_on, running, runs_at_sink, loaded;
    bool ended; /* the guest has crashed where it runs */
    uint64_t target_kib, sink_target_kib;
    uint64_t limit; /* pages that the sink can have */
    uint64_t rings[2], built[3];
    int views; /* open now */
    int broken;
    char what[128]; /* the first broken rule */

    void (*hook)(struct fake *f, enum fake_op op, unsigned nth); /* any thread, lock not held */
    void *priv;
    atomic_uint calls[FAKE_OPS];
    atomic_uint fail[FAKE_OPS]; /* which call fails, 1 = the first; 0: none */
};

struct fake *fake_new(void);
/* Give it emulated devices, which need every page in place when they are loaded; before the move.
 */
void fake_emulate(struct fake *f);
void fake_free(struct fake *f);

/* Actions of the guest. Without effect while it does not run. */
void fake_write(struct fake *f, uint64_t gfn, uint32_t seed); /* 0: zeros */
void fake_balloon_out(struct fake *f, uint64_t gfn);
void fake_balloon_in(struct fake *f, uint64_t gfn, uint32_t seed);
/* Let the next call of an operation fail. */
void fake_fail_next(struct fake *f, enum fake_op op);

/* Put one page into the sink, as a pager's `put` does; NULL: zeros. */
void fake_put(struct fake *f, uint64_t gfn, const uint8_t *page);

/* Is the sink's memory equal to the source's, byte for byte? If not, `why` tells where. */
bool fake_same(struct fake *f, char *why, size_t len);

#endif
