/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages of a guest that was suspended and runs elsewhere, read so that they are certain to be as
 * they were then: whoever lets the guest run here as well must not get a page of it sent.
 */
#ifndef XF_STILL_H
#define XF_STILL_H

#include <sys/uio.h>

#include "pages/cost.h"
#include "pages/vm.h"

/* Pages at once, at most. */
#define XF_STILL_MAX 256u

struct xf_still {
    struct xf_map map; /* scratch; nothing is mapped between two calls */
    struct xf_batch batch;
    struct iovec iov; /* the data of batch, in `copy`; of no length if there is none */
    uint8_t copy[XF_STILL_MAX * XF_PAGE_SIZE];
};

/*
 * Read n (at most XF_STILL_MAX) ascending gfns into out, which is the caller's. A page that the
 * guest does not have can only be one that it gave away while it was being suspended: its content
 * is nobody's, and it becomes a zero page. What mapping took is added to map, n pages, and what
 * the rest took to copy, without pages: whoever sends them counts them.
 * Errors: those of the guest's `map` and `untouched` ops (EBUSY: it has run, ESRCH: it is gone);
 * out is of no use then. Any thread, with a view and an `out` of its own.
 */
int xf_still_read(struct xf_source_vm *vm, struct xf_view *view, const uint64_t *gfns, unsigned n,
                  struct xf_still *out, struct xf_cost *map, struct xf_cost *copy,
                  struct xf_err *err);

#endif
