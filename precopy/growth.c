/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The growth of a set of written pages: see growth.h.
 *
 * Beyond the last look at time t the set is modelled as w(x) = H * (1 - q^x): that of a guest which
 * writes any of H pages at random. q and H follow from w(t/2) and w(t). Real guests have hot pages
 * and less hot ones, whose sets fill up one after the other, so the true set is larger than this;
 * but it is estimated again with every look, and decisions based on it err towards going on. Too
 * large an estimate could not be taken back.
 */
#include "precopy/growth.h"

#include <math.h>

/* Least ratio between the times of two kept looks. */
#define SPREAD 1.1

void xf_growth_clear(struct xf_growth *g)
{
    g->n = 0;
}

void xf_growth_add(struct xf_growth *g, double t, uint64_t pages)
{
    unsigned n = g->n;

    /* The newest look is always kept; it replaces the last one if that is close to the one
     * before. */
    if (n == XF_GROWTH_LOOKS || (n >= 2 && g->looks[n - 1].t < SPREAD * g->looks[n - 2].t))
        n--;
    g->looks[n] = (struct xf_growth_look){.t = t, .pages = (double)pages};
    g->n = n + 1;
}

/* Between the looks; 0 pages at 0 s is one. */
static double between(const struct xf_growth *g, double t)
{
    struct xf_growth_look a = {0};

    for (unsigned i = 0; i < g->n; i++) {
        struct xf_growth_look b = g->looks[i];

        if (t <= b.t)
            return b.t > a.t ? a.pages + (b.pages - a.pages) * (t - a.t) / (b.t - a.t) : b.pages;
        a = b;
    }
    return a.pages;
}

static double beyond(const struct xf_growth *g, double t)
{
    struct xf_growth_look last = g->looks[g->n - 1];
    double half = between(g, last.t / 2), rest = last.pages - half;
    double q = half > 0 ? rest / half : 1; /* over half of the observed time */

    if (last.t <= 0)
        return last.pages;
    if (q >= 1 || g->n < 2) /* one look cannot tell a curve from a line */
        return last.pages * t / last.t;
    if (q <= 0)
        return last.pages;
    return half / (1 - q) * (1 - pow(q, 2 * t / last.t));
}

double xf_growth_at(const struct xf_growth *g, double t, uint64_t limit)
{
    double pages;

    if (!g->n)
        return -1;
    pages = t <= g->looks[g->n - 1].t ? between(g, t) : beyond(g, t);
    return pages < (double)limit ? pages : (double)limit;
}
