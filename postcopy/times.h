/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A histogram of times, for their median and 99th percentile: eight buckets for each power
 * of two of nanoseconds, so an answer is at most an eighth too large.
 */
#ifndef XF_TIMES_H
#define XF_TIMES_H

#include <stdint.h>

#include "transport/wire.h"

#define XF_TIMES_BUCKETS (64u * 8u)

struct xf_times {
    uint64_t n, max, sum;
    uint64_t latency[XF_LATENCY_BUCKETS]; /* counts by microseconds: wire.h */
    uint32_t bucket[XF_TIMES_BUCKETS];
};

void xf_times_add(struct xf_times *t, uint64_t ns);
/* The quantile `part` (0..1) of all times; 0 when there are none. */
uint64_t xf_times_part(const struct xf_times *t, double part);
/* The mean of all, exact; 0 when there are none. */
uint64_t xf_times_mean(const struct xf_times *t);

#endif
