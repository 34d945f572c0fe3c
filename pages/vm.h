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

/* A batch of guest pages, mapped: side by side where each had to be mapped for it, or wherever
 * they are. */
struct xf_map {
    uint8_t *page[XF_BATCH_PAGES]; /* of no use where there is an err */
    int err[XF_BATCH_PAGES];       /* 0, or an errno: there is no such page */
    unsigned n;
    uint8_t *base; /* the implementer's: what it has mapped; NULL when nothing is */
};

enum xf_log_read {
    XF_LOG_PEEK,  /* look; bits stay set */
    XF_LOG_CLEAN, /* take: bits are cleared, writes are caught anew */
    XF_LOG_LAST,  /* the guest is suspended: also what Xen itself wrote; bits stay set */
};

struct xf_source_vm;
struct xf_source_ops {
    int (*view_open)(struct xf_source_vm *vm, struct xf_view **out, struct xf_err *err);
    void (*view_close)(struct xf_view *v);

    /* ram[i] = 1 where gfns[i] is memory that must be moved; 0: a hole, ballooned out, or a
     * page of the hypervisor's own that the guest asks for again at its new place. */
    int (*classify)(struct xf_view *v, const uint64_t *gfns, unsigned n, uint8_t *ram,
                    struct xf_err *err);
    /* Map read-only. A page that went away between classify and map is an err[i], no failure; that
     * the guest itself is gone is one, ESRCH: none of its pages may be taken for a hole then. */
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
    /* What it was told to have, KiB. */
    int (*target)(struct xf_source_vm *vm, uint64_t *kib, struct xf_err *err);

    /* Does the guest still run here? -1 when it has ended (ESRCH) or was suspended by somebody else
     * (EBUSY), and the error says what became of it. Asked some ten times a second until the guest
     * is to be suspended. May be NULL: it cannot end. */
    int (*alive)(struct xf_source_vm *vm, struct xf_err *err);
    /* Stop the guest in a state that can be moved. It shall not wait for a guest that has ended.
     * After a failure ask `suspended`: it may have stopped all the same, or too late. */
    int (*suspend)(struct xf_source_vm *vm, struct xf_err *err);
    bool (*suspended)(struct xf_source_vm *vm); /* false, too, of a guest that is gone */
    /* Undo suspend: the guest goes on here as if nothing had happened. */
    int (*resume)(struct xf_source_vm *vm, struct xf_err *err);
    /*
     * Has the guest stood still since `suspend`? For the time after GO, when it may run in one
     * place only. 0: it has, up to this call: what was read of its pages before is as it was then.
     * EBUSY: somebody has let it run here, even if it is suspended again; it is stopped now, if
     * that was possible. ESRCH: it is gone. Cheap; any thread, with a view of its own.
     */
    int (*untouched)(struct xf_source_vm *vm, struct xf_view *v, struct xf_err *err);
    /* What the suspended guest is beside its pages: add its parts to s, which is empty. Also after
     * a failure s is the caller's to free. */
    int (*state)(struct xf_source_vm *vm, struct xf_state *s, struct xf_err *err);

    /* Post-copy only; may be NULL. The guest is about to be suspended: set the bits of pages that
     * it must find in place when it runs again, whatever the dirty log says of them (bitmap as
     * in log_read; bits are only added). */
    int (*eager)(struct xf_source_vm *vm, unsigned long *bitmap, struct xf_err *err);
};

struct xf_source_vm {
    const struct xf_source_ops *ops;
    uint64_t nr_gfns; /* highest gfn + 1 */
    uint64_t *rings;  /* gfns that the destination makes anew and that are never sent */
    unsigned nr_rings;
};

struct xf_sink_vm;
struct xf_sink_ops {
    int (*view_open)(struct xf_sink_vm *vm, struct xf_view **out, struct xf_err *err);
    void (*view_close)(struct xf_view *v);

    /* Give the guest memory at gfns (none of them has any). Contents are undefined after. */
    int (*populate)(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_err *err);
    /* Take it back (all of them have some, and none is absent). */
    int (*depopulate)(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_err *err);
    /*
     * Map writable; every page must be there. gfns need not ascend. fill: the caller writes every
     * page whole and has no use for what it holds, so it may be shown anything, and what it writes
     * need not be the guest's before unmap.
     */
    int (*map)(struct xf_view *v, const uint64_t *gfns, unsigned n, bool fill, struct xf_map *m,
               struct xf_err *err);
    void (*unmap)(struct xf_view *v, struct xf_map *m);

    int (*set_target)(struct xf_sink_vm *vm, uint64_t kib, struct xf_err *err);
    /* What it is beside its pages, of a peer's making: every part that is needed has to be looked
     * for. Once, before GO; -1 refuses the guest. */
    int (*load_state)(struct xf_sink_vm *vm, const struct xf_state *s, struct xf_err *err);
    /* GO: from here the guest lives here. */
    int (*run)(struct xf_sink_vm *vm, struct xf_err *err);
};

/* Something that read_faults found. */
struct xf_fault {
    uint64_t gfn;
    bool dropped; /* the guest gave the page back: nobody needs its content any more. Else
                     somebody waits for it */
};

/*
 * Absent pages, for post-copy: the guest may run without them, and whoever touches one (a
 * vCPU, a backend, the hypervisor) waits until it has been put in. Everything that is between
 * an access and its going on is the implementation's business: the same page touched twice,
 * accesses to pages that came meanwhile, accesses that nobody waits for.
 *
 * Never map a page that is absent: the mapping would wait for it.
 */
struct xf_pager_ops {
    /* Make it possible, before the first batch: what refuses does it now, with the remedy in
     * the error. The guest does not run. */
    int (*enable)(struct xf_sink_vm *vm, struct xf_err *err);
    /* These pages have memory: throw it away and mark them absent. refused[i] = 1 where that
     * cannot be (the hypervisor holds the page), and the page is as it was. The guest does
     * not run. Nobody has one of the pages mapped. */
    int (*mark)(struct xf_view *v, const uint64_t *gfns, unsigned n, uint8_t *refused,
                struct xf_err *err);
    /* Pages marked absent have given their memory back: keep as much of it as they will need
     * from being given to others. Once, after the last mark(). May be NULL. */
    int (*claim)(struct xf_sink_vm *vm, uint64_t pages, struct xf_err *err);

    /* Polls readable when read_faults may have something, or when the guest is gone. */
    int (*fault_fd)(struct xf_sink_vm *vm);
    /* What happened since the last call, at most max; returns how many (0: nothing), or -1.
     * ESRCH: the guest is gone. A page is reported each time that somebody begins to wait for
     * it. One thread calls it; it need not be the one that runs the move. */
    int (*read_faults)(struct xf_sink_vm *vm, struct xf_fault *list, unsigned max,
                       struct xf_err *err);
    /* Put absent pages in, pages[i] (NULL: zeros) being the content of gfns[i], and let go on
     * who waits for them. gfns that are not absent (any more) are left as they are. pages
     * are the caller's again afterwards. ESRCH: the guest is gone. */
    int (*put)(struct xf_view *v, const uint64_t *gfns, const uint8_t *const *pages, unsigned n,
               struct xf_err *err);
    /* No page is absent any more: take away what enable() made. read_faults may still be called
     * by its thread meanwhile, and afterwards. */
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
    bool fresh_zero; /* what populate gives is zeros (Xen's heap: whatever was there before) */
};

#endif
