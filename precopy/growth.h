/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the set of pages that a guest has written grows with time, from the looks at its dirty
 * log within one round; and how large it will be later. Pure arithmetic, no clock.
 */
#ifndef XF_GROWTH_H
#define XF_GROWTH_H

#include <stdint.h>

/* Looks that are kept. They lie ever further apart, so that these are enough for days. */
#define XF_GROWTH_LOOKS 64u

struct xf_growth {
    unsigned n;
    struct xf_growth_look {
        double t; /* seconds since the log was last cleaned */
        double pages;
    } looks[XF_GROWTH_LOOKS];
};

/* The log was cleaned: nothing is known. (A zeroed struct is the same.) */
void xf_growth_clear(struct xf_growth *g);

/* t seconds after that the log names so many pages. t ascends. */
void xf_growth_add(struct xf_growth *g, double t, uint64_t pages);

/*
 * How many pages the guest writes in the first t seconds: between the looks what they say, and
 * beyond the last one what a set would have that fills up as this one has so far, or grows on
 * as a line if it has not begun to fill up. At most `limit`. Negative: there was no look.
 */
double xf_growth_at(const struct xf_growth *g, double t, uint64_t limit);

#endif
