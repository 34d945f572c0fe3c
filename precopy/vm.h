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
#include "transport/wire.h"

struct xf_view; /* one thread's access to a guest's pages */

/* A batch of guest pages mapped side by side: page i is at base + i * XF_PAGE_SIZE. */
struct xf_map {
    uint8_t *base; /* NULL when nothing is mapped */
    unsigned n;
    int err[XF_BATCH_PAGES]; /* per page: 0, or an errno: there is no such page */
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
    /* Map read-only. A page that went away between classify and map is an err[i], no failure. */
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

    /* Stop the guest in a state that can be moved. After a failure ask `suspended`: it may
     * have stopped all the same, or too late. */
    int (*suspend)(struct xf_source_vm *vm, struct xf_err *err);
    bool (*suspended)(struct xf_source_vm *vm);
    /* Undo suspend: the guest goes on here as if nothing had happened. */
    int (*resume)(struct xf_source_vm *vm, struct xf_err *err);
    /* The suspended guest's CPU state. *blob is malloc()ed, the caller's to free. */
    int (*state)(struct xf_source_vm *vm, struct xf_state *s, void **blob, uint32_t *len,
                 struct xf_err *err);
};

struct xf_source_vm {
    const struct xf_source_ops *ops;
    uint64_t nr_gfns;     /* highest gfn + 1 */
    uint64_t *rings;      /* gfns that the destination makes anew and that are never sent */
    unsigned nr_rings;
};

struct xf_sink_vm;
struct xf_sink_ops {
    int (*view_open)(struct xf_sink_vm *vm, struct xf_view **out, struct xf_err *err);
    void (*view_close)(struct xf_view *v);

    /* Give the guest memory at gfns (none of them has any). Contents are undefined after. */
    int (*populate)(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_err *err);
    /* Take it back (all of them have some). */
    int (*depopulate)(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_err *err);
    /* Map writable; every page must be there. gfns need not ascend. */
    int (*map)(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_map *m,
               struct xf_err *err);
    void (*unmap)(struct xf_view *v, struct xf_map *m);

    int (*set_target)(struct xf_sink_vm *vm, uint64_t kib, struct xf_err *err);
    int (*load_state)(struct xf_sink_vm *vm, const struct xf_state *s, const void *blob,
                      uint32_t len, struct xf_err *err);
    /* GO: from here the guest lives here. */
    int (*run)(struct xf_sink_vm *vm, struct xf_err *err);
};

struct xf_sink_vm {
    const struct xf_sink_ops *ops;
    uint64_t nr_gfns;
    const uint64_t *built; /* gfns that exist before the first batch */
    unsigned nr_built;
    const uint64_t *rings; /* gfns no batch may touch */
    unsigned nr_rings;
};

#endif
