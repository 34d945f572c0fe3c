/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the engine (precopy/, postcopy/) sees of a guest. libxl-ext/ implements it for Xen
 * domains; a test double may implement it for anything else that has pages and can stop.
 *
 * Errors as in transport/err.h. gfns are below vm->nr_gfns. A batch has at most
 * XF_BATCH_PAGES gfns, ascending.
 *
 * Threads: calls that take a view may run in several threads, each with a view of its own;
 * all others belong to the one thread that runs the move.
 */
#ifndef XF_VM_H
#define XF_VM_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/err.h"
#include "transport/state.h"
#include "transport/wire.h"

struct xf_view; /* one thread's access to a guest's pages */

/* A batch of mapped guest pages: adjacent if they had to be mapped for it, otherwise wherever they
 * are. */
struct xf_map {
    uint8_t *page[XF_BATCH_PAGES]; /* not to be used where err is set */
    int err[XF_BATCH_PAGES];       /* 0, or an errno: there is no such page */
    unsigned n;
    uint8_t *base; /* the implementation's mapping; NULL when nothing is mapped */
};

enum xf_log_read {
    XF_LOG_PEEK,  /* look; bits stay set */
    XF_LOG_CLEAN, /* take: bits are cleared, writes are logged again */
    XF_LOG_LAST,  /* the guest is suspended: includes Xen's own writes; bits stay set */
};

struct xf_source_vm;
struct xf_source_ops {
    int (*view_open)(struct xf_source_vm *vm, struct xf_view **out, struct xf_err *err);
    void (*view_close)(struct xf_view *v);

    /* ram[i] = 1 where gfns[i] is memory that must be moved; 0: a hole, ballooned out, or a page of
     * the hypervisor's own that the guest requests again at the destination. */
    int (*classify)(struct xf_view *v, const uint64_t *gfns, unsigned n, uint8_t *ram,
                    struct xf_err *err);
    /* Map read-only. A page that disappeared between classify and map sets err[i] and is no
     * failure. A guest that is gone is a failure, ESRCH: none of its pages may be treated as a hole
     * then. */
    int (*map)(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_map *m,
               struct xf_err *err);
    void (*unmap)(struct xf_view *v, struct xf_map *m);

    int (*log_start)(struct xf_source_vm *vm, struct xf_err *err);
    /* bitmap: nr_gfns bits, rounded up to whole unsigned longs; overwritten. */
    int (*log_read)(struct xf_source_vm *vm, enum xf_log_read how, unsigned long *bitmap,
                    struct xf_err *err);
    void (*log_stop)(struct xf_source_vm *vm);

    /* Pages that the guest owns now, of any kind: a change means that it balloons. */
    int (*population)(struct xf_source_vm *vm, uint64_t *pages, struct xf_err *err);
    /* The guest's memory target, KiB. */
    int (*target)(struct xf_source_vm *vm, uint64_t *kib, struct xf_err *err);

    /* Does the guest still run here? -1 when it has ended (ESRCH) or was suspended by somebody else
     * (EBUSY), and the error says what became of it. Called about ten times a second until the
     * guest is to be suspended. May be NULL: the guest cannot end. */
    int (*alive)(struct xf_source_vm *vm, struct xf_err *err);
    /* Stop the guest in a state that can be moved. Must not wait for a guest that has ended. After
     * a failure call `suspended`: the guest may have stopped anyway, or too late. */
    int (*suspend)(struct xf_source_vm *vm, struct xf_err *err);
    bool (*suspended)(struct xf_source_vm *vm); /* also false for a guest that is gone */
    /* Undo suspend: the guest continues here as if nothing had happened. */
    int (*resume)(struct xf_source_vm *vm, struct xf_err *err);
    /*
     * Has the guest stood still since `suspend`? For the time after GO, when it may run in one
     * place only. 0: it has, up to this call: pages read before the call are as they were at
     * `suspend`. EBUSY: somebody has let it run here, even if it is suspended again; it is stopped
     * now, if that was possible. ESRCH: the guest is gone. Cheap; any thread, with a view of its
     * own.
     */
    int (*untouched)(struct xf_source_vm *vm, struct xf_view *v, struct xf_err *err);
    /* Add the parts of the suspended guest's state to s, which is empty. The caller frees s, even
     * after a failure. */
    int (*state)(struct xf_source_vm *vm, struct xf_state *s, struct xf_err *err);

    /* Post-copy only; may be NULL. The guest is about to be suspended: set the bits of pages that
     * must be in place when it runs again, whatever the dirty log says about them (bitmap as in
     * log_read; bits are only added). */
    int (*eager)(struct xf_source_vm *vm, unsigned long *bitmap, struct xf_err *err);
};

struct xf_source_vm {
    const struct xf_source_ops *ops;
    uint64_t nr_gfns; /* highest gfn + 1 */
    uint64_t *rings;  /* gfns that the destination makes anew; never sent */
    unsigned nr_rings;
};

struct xf_sink_vm;
struct xf_sink_ops {
    int (*view_open)(struct xf_sink_vm *vm, struct xf_view **out, struct xf_err *err);
    void (*view_close)(struct xf_view *v);

    /* Give the guest memory at gfns (none of them has any). Contents are undefined afterwards. */
    int (*populate)(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_err *err);
    /* Give the guest memory at XF_LARGE_PAGES gfns from `first` on, a multiple of that, in one
     * large page. 0, or XF_AGAIN: there is none, and nothing has changed. NULL: it never has any.
     */
    int (*populate_large)(struct xf_view *v, uint64_t first);
    /* Take the memory back (all gfns have some, and none is absent). */
    int (*depopulate)(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_err *err);
    /*
     * Map writable; every page must exist. gfns need not ascend. fill: the caller overwrites every
     * page completely and ignores its old contents, so the mapping may show anything, and the
     * writes need not reach the guest before unmap.
     */
    int (*map)(struct xf_view *v, const uint64_t *gfns, unsigned n, bool fill, struct xf_map *m,
               struct xf_err *err);
    void (*unmap)(struct xf_view *v, struct xf_map *m);

    int (*set_target)(struct xf_sink_vm *vm, uint64_t kib, struct xf_err *err);
    /* Load the guest's state. It is from a peer: check that every part needed is present. Once,
     * before GO; -1 refuses the guest. May run while the last pages arrive, unless there is
     * load_devices. */
    int (*load_state)(struct xf_sink_vm *vm, const struct xf_state *s, struct xf_err *err);
    /*
     * NULL: the guest has no emulated devices. Else the state of those, once, right before GO:
     * after load_state, every page but absent ones is in place, and absent ones are served. The
     * devices may read and write the guest's memory from then on.
     */
    int (*load_devices)(struct xf_sink_vm *vm, const struct xf_state *s, struct xf_err *err);
    /* GO: from now on the guest lives here. */
    int (*run)(struct xf_sink_vm *vm, struct xf_err *err);
};

/* An event that read_faults found. */
struct xf_fault {
    uint64_t gfn;
    bool dropped; /* the guest gave the page back: nobody needs its content any more. Otherwise
                     somebody waits for it */
};

/*
 * Absent pages, for post-copy: the guest may run without them, and an access to one (by a vCPU, a
 * backend, the hypervisor) waits until the page has been put in. The implementation handles
 * everything between an access and its continuation: the same page touched twice, accesses to pages
 * that arrived meanwhile, accesses that nobody waits for.
 *
 * Never map a page that is absent: the mapping would wait for it.
 */
struct xf_pager_ops {
    /* Make absent pages possible, before the first batch: whatever prevents them fails this call,
     * with the remedy in the error. The guest does not run. */
    int (*enable)(struct xf_sink_vm *vm, struct xf_err *err);
    /* Discard the memory of these pages, which all have some, and mark them absent. refused[i] = 1
     * where that is impossible (the hypervisor holds the page); that page is unchanged. The guest
     * does not run. None of the pages is mapped. */
    int (*mark)(struct xf_view *v, const uint64_t *gfns, unsigned n, uint8_t *refused,
                struct xf_err *err);
    /* Pages marked absent have given their memory back: reserve as much of it as they will need.
     * Once, after the last mark(). May be NULL. */
    int (*claim)(struct xf_sink_vm *vm, uint64_t pages, struct xf_err *err);

    /* Polls readable when read_faults may have something, or when the guest is gone. */
    int (*fault_fd)(struct xf_sink_vm *vm);
    /* List the events since the last call, at most max; returns their number (0: none), or -1.
     * ESRCH: the guest is gone. A page is reported each time that somebody begins to wait for it.
     * Called by one thread, which need not be the one that runs the move. */
    int (*read_faults)(struct xf_sink_vm *vm, struct xf_fault *list, unsigned max,
                       struct xf_err *err);
    /* Put absent pages in, pages[i] (NULL: zeros) being the content of gfns[i], and resume whoever
     * waits for them. gfns that are not absent (any more) are left unchanged. The caller may reuse
     * pages afterwards. ESRCH: the guest is gone. */
    int (*put)(struct xf_view *v, const uint64_t *gfns, const uint8_t *const *pages, unsigned n,
               struct xf_err *err);
    /* No page is absent any more: undo enable(). read_faults may still be called by its thread
     * meanwhile, and afterwards. */
    int (*disable)(struct xf_sink_vm *vm, struct xf_err *err);
};

struct xf_absent; /* pages/absent.h */

struct xf_sink_vm {
    const struct xf_sink_ops *ops;
    const struct xf_pager_ops *pager; /* NULL: no page of this guest can be absent */
    struct xf_absent *absent;         /* which ones are; NULL: post-copy was not asked for */
    uint64_t nr_gfns;
    const uint64_t *built; /* gfns that exist before the first batch */
    unsigned nr_built;
    const uint64_t *rings; /* gfns no batch may touch */
    unsigned nr_rings;
    bool fresh_zero; /* populated pages are zero (Xen's heap: whatever was there before) */
};

#endif
