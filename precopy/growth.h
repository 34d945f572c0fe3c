/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Growth over time of the set of pages that a guest has written, from looks at its dirty log within
 * one round; and an estimate of its later size. Pure arithmetic, no clock.
 */
#ifndef XF_GROWTH_H
#define XF_GROWTH_H

#include <stdint.h>

/* Looks kept. They get further and further apart, so that these are enough for days. */
#define XF_GROWTH_LOOKS 64u

struct xf_growth {
    unsigned n;
    struct xf_growth_look {
        double t; /* seconds since the log was last cleaned */
        double pages;
    } looks[XF_GROWTH_LOOKS];
};

/* The log was cleaned: forget all looks. (Same as a zeroed struct.) */
void xf_growth_clear(struct xf_growth *g);

/* The log names `pages` pages t seconds after it was cleaned. t must ascend. */
void xf_growth_add(struct xf_growth *g, double t, uint64_t pages);

/*
 * Estimate of the pages the guest writes in the first t seconds: interpolated between looks; beyond
 * the last one, extrapolated as a set that fills up as this one has so far, or linearly if it has
 * not begun to fill up. At most `limit`. Negative: no look yet.
 */
double xf_growth_at(const struct xf_growth *g, double t, uint64_t limit);

#endif
