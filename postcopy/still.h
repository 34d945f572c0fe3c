/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages of a guest that was suspended here and runs elsewhere, read so that they are certain to be
 * unchanged since then: once the guest is let run here as well, none of its pages may be sent.
 */
#ifndef XF_STILL_H
#define XF_STILL_H

#include <sys/uio.h>

#include "pages/cost.h"
#include "pages/vm.h"

/* Most pages per call. */
#define XF_STILL_MAX 256u

struct xf_still {
    struct xf_map map; /* scratch; nothing is mapped between two calls */
    struct xf_batch batch;
    struct iovec iov; /* the data of batch, in `copy`; length 0 if there is none */
    uint8_t copy[XF_STILL_MAX * XF_PAGE_SIZE];
};

/*
 * Read n (at most XF_STILL_MAX) ascending gfns into out, which is the caller's. A page that the
 * guest does not have can only be one that it released while it was being suspended: its content
 * does not matter, and it becomes a zero page. The time of mapping is added to map, with n pages,
 * and that of the rest to copy, without pages: the sender counts them. Errors: those of the guest's
 * `map` and `untouched` ops (EBUSY: it has run, ESRCH: it is gone); out is invalid then. Any
 * thread, with a view and an `out` of its own.
 */
int xf_still_read(struct xf_source_vm *vm, struct xf_view *view, const uint64_t *gfns, unsigned n,
                  struct xf_still *out, struct xf_cost *map, struct xf_cost *copy,
                  struct xf_err *err);

#endif
