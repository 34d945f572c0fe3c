/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The scheduler of a drain: see sched.h. */
#include "libxl-ext/drain/sched.h"

#include <assert.h>

unsigned xf_drain_count(const struct xf_drain *d, enum xf_drain_state state)
{
    unsigned n = 0;

    for (unsigned i = 0; i < d->nr_guests; i++)
        n += d->guest[i].state == state;
    return n;
}

static unsigned under_way(const struct xf_drain *d)
{
    return xf_drain_count(d, XF_DRAIN_GOING) + xf_drain_count(d, XF_DRAIN_ELSEWHERE);
}

/* How likely a host has the memory that a guest needs: known to, not known, known not to. */
static unsigned fits(const struct xf_drain_host *h, uint64_t need_kib)
{
    if (!h->known)
        return 1;
    return h->free_kib > 0 && h->free_kib >= need_kib ? 2 : 0;
}

/* Where it fits is better; else where more is free, or, where that is not known, the host that has
 * been given fewer guests; else the one named first. */
static bool is_better(const struct xf_drain_host *a, const struct xf_drain_host *b,
                      uint64_t need_kib)
{
    unsigned fits_a = fits(a, need_kib), fits_b = fits(b, need_kib);

    if (fits_a != fits_b)
        return fits_a > fits_b;
    if (a->known && a->free_kib != b->free_kib)
        return a->free_kib > b->free_kib;
    return a->given < b->given;
}

/* The best host that has not said no; -1: none. */
static int best_host(const struct xf_drain *d, const struct xf_drain_guest *g)
{
    int best = -1;

    for (unsigned i = 0; i < d->nr_hosts; i++) {
        uint32_t bit = 1u << i;

        if ((g->may & bit) && !((g->refused | g->lacks) & bit) &&
            (best < 0 || is_better(&d->host[i], &d->host[best], g->need_kib)))
            best = (int)i;
    }
    return best;
}

static int next_guest(const struct xf_drain *d)
{
    int best = -1;

    for (unsigned i = 0; i < d->nr_guests; i++)
        if (d->guest[i].state == XF_DRAIN_TODO &&
            (best < 0 || d->guest[i].rank > d->guest[best].rank))
            best = (int)i;
    return best;
}

/* Take memory at a host. More than is known to be free may be wanted: whether it suffices is the
 * host's to say. */
static void book(struct xf_drain *d, struct xf_drain_guest *g)
{
    struct xf_drain_host *h = &d->host[g->host];

    g->booked_kib = g->need_kib < h->free_kib ? g->need_kib : h->free_kib;
    h->free_kib -= g->booked_kib;
    h->given++;
}

static void give_back(struct xf_drain *d, const struct xf_drain_guest *g)
{
    d->host[g->host].free_kib += g->booked_kib;
    d->host[g->host].given--;
}

enum xf_drain_action xf_drain_next(struct xf_drain *d, unsigned *guest, unsigned *host)
{
    unsigned busy = under_way(d);
    int g, h;

    while (!d->interrupts && busy < d->limit && (g = next_guest(d)) >= 0) {
        struct xf_drain_guest *x = &d->guest[g];

        h = best_host(d, x);
        if (h < 0) {
            x->state = x->lacks ? XF_DRAIN_NO_MEMORY : XF_DRAIN_REFUSED;
            continue;
        }
        x->state = XF_DRAIN_GOING;
        x->host = (unsigned)h;
        x->starts++;
        x->departed = d->departed;
        book(d, x);
        *guest = (unsigned)g;
        *host = (unsigned)h;
        return XF_DRAIN_START;
    }
    return busy ? XF_DRAIN_WAIT : XF_DRAIN_DONE;
}

/* Who was refused for memory is offered everywhere again. */
static void depart(struct xf_drain *d)
{
    d->departed++;
    for (unsigned i = 0; i < d->nr_guests; i++) {
        struct xf_drain_guest *g = &d->guest[i];

        if (g->state == XF_DRAIN_NO_MEMORY)
            g->state = XF_DRAIN_TODO;
        if (g->state == XF_DRAIN_TODO)
            g->lacks = 0;
    }
}

static void lacks_memory(const struct xf_drain *d, struct xf_drain_guest *g)
{
    g->state = XF_DRAIN_TODO;
    /* If one has left since it was asked, the answer is old. */
    if (g->departed == d->departed)
        g->lacks |= 1u << g->host;
}

void xf_drain_ended(struct xf_drain *d, unsigned guest, enum xf_drain_end end)
{
    struct xf_drain_guest *g = &d->guest[guest];
    bool again = g->starts < XF_DRAIN_STARTS;

    assert(g->state == XF_DRAIN_GOING || g->state == XF_DRAIN_ELSEWHERE);
    if (g->state == XF_DRAIN_GOING && end != XF_DRAIN_END_LEFT)
        give_back(d, g);
    switch (end) {
    case XF_DRAIN_END_LEFT:
        g->state = XF_DRAIN_LEFT;
        depart(d);
        break;
    case XF_DRAIN_END_REFUSED:
        g->refused |= 1u << g->host;
        g->state = XF_DRAIN_TODO;
        break;
    case XF_DRAIN_END_MEMORY:
        lacks_memory(d, g);
        break;
    case XF_DRAIN_END_BUSY:
        g->state = again ? XF_DRAIN_ELSEWHERE : XF_DRAIN_STAYED;
        break;
    case XF_DRAIN_END_AGAIN:
        g->state = again ? XF_DRAIN_TODO : XF_DRAIN_STAYED;
        break;
    case XF_DRAIN_END_STAYED:
        g->state = XF_DRAIN_STAYED;
        break;
    case XF_DRAIN_END_STUCK:
        g->state = XF_DRAIN_STUCK;
        break;
    case XF_DRAIN_END_OUT:
        g->state = XF_DRAIN_OUT;
        break;
    }
}

bool xf_drain_interrupt(struct xf_drain *d)
{
    return ++d->interrupts > 1;
}
