/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A histogram of times: see times.h. */
#include "postcopy/times.h"

static unsigned bucket_of(uint64_t ns)
{
    unsigned log;

    if (ns < 8)
        return (unsigned)ns;
    log = 63u - (unsigned)__builtin_clzll(ns);
    return (log - 2) * 8 + (unsigned)(ns >> (log - 3) & 7);
}

/* The largest value in a bucket. */
static uint64_t top_of(unsigned bucket)
{
    unsigned log = bucket / 8 + 2;

    if (bucket < 8)
        return bucket;
    return ((8ull + bucket % 8) << (log - 3)) + ((1ull << (log - 3)) - 1);
}

static unsigned latency_of(uint64_t ns)
{
    uint64_t us = ns / 1000;
    unsigned log = us ? 63u - (unsigned)__builtin_clzll(us) : 0;

    return log < XF_LATENCY_BUCKETS ? log : XF_LATENCY_BUCKETS - 1;
}

void xf_times_add(struct xf_times *t, uint64_t ns)
{
    t->n++;
    t->sum += ns;
    t->bucket[bucket_of(ns)]++;
    t->latency[latency_of(ns)]++;
    if (ns > t->max)
        t->max = ns;
}

uint64_t xf_times_part(const struct xf_times *t, double part)
{
    uint64_t want = (uint64_t)(part * (double)t->n + 0.999999), seen = 0;

    if (!want)
        want = 1;
    for (unsigned i = 0; i < XF_TIMES_BUCKETS; i++) {
        seen += t->bucket[i];
        if (t->n && seen >= want)
            return top_of(i) < t->max ? top_of(i) : t->max;
    }
    return 0;
}

uint64_t xf_times_mean(const struct xf_times *t)
{
    return t->n ? t->sum / t->n : 0;
}
