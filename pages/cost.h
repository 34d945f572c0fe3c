/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The cost of one kind of work so far, summed by any number of threads. */
#ifndef XF_COST_H
#define XF_COST_H

#include <stdatomic.h>

#include "transport/clock.h"
#include "transport/wire.h"

struct xf_cost {
    atomic_uint_fast64_t pages, ns;
};

/* Add `pages` pages, which took from `since` (xf_now_ns()) until now. */
static inline void xf_cost_add(struct xf_cost *c, uint64_t pages, uint64_t since)
{
    atomic_fetch_add_explicit(&c->pages, pages, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->ns, xf_now_ns() - since, memory_order_relaxed);
}

static inline struct xf_cost_sum xf_cost_sum(struct xf_cost *c)
{
    return (struct xf_cost_sum){atomic_load_explicit(&c->pages, memory_order_relaxed),
                                atomic_load_explicit(&c->ns, memory_order_relaxed)};
}

#endif
