/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Adaptive pre-paging: see prefetch.h. */
#include "postcopy/prefetch.h"

#include <assert.h>

/* A fault within this distance of a bubble's edge or last fault belongs to it. */
#define REACH 512u
/* Pages that a bubble gives first after a fault; then twice as many each time. */
#define FIRST_CHUNK 16u
/* A bubble that has given this many pages without another fault is not a working region. */
#define BUBBLE_MAX 4096u
/* How far ahead of the fault a stride is followed: 8 steps, twice as many with each repeat. */
#define STRIDE_STEPS 8u
#define STRIDE_STEPS_MAX 256u

int xf_prefetch_init(struct xf_prefetch *p, uint64_t nr_gfns)
{
    *p = (struct xf_prefetch){.nr_gfns = nr_gfns};
    p->left = xf_bitmap_new(nr_gfns);
    return p->left ? 0 : -1;
}

void xf_prefetch_free(struct xf_prefetch *p)
{
    free(p->left);
    *p = (struct xf_prefetch){0};
}

/* Take the page if it is left. */
static bool take(struct xf_prefetch *p, uint64_t gfn)
{
    if (!xf_bit(p->left, gfn))
        return false;
    assert(p->nr_left);
    xf_unset(p->left, gfn);
    p->nr_left--;
    return true;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* The bubble that this fault belongs to, or NULL. */
static struct xf_bubble *find(struct xf_prefetch *p, uint64_t gfn)
{
    struct xf_bubble *best = NULL;
    uint64_t nearest = REACH + 1;

    for (unsigned i = 0; i < p->nr; i++) {
        struct xf_bubble *b = &p->bubbles[i];
        uint64_t d = distance(gfn, b->fault), e = distance(gfn, gfn < b->lo ? b->lo : b->hi);

        if (gfn >= b->lo && gfn < b->hi)
            d = 0;
        if (e < d)
            d = e;
        if (d < nearest) {
            nearest = d;
            best = b;
        }
    }
    return best;
}

static struct xf_bubble *oldest(struct xf_prefetch *p)
{
    struct xf_bubble *b = &p->bubbles[0];

    if (p->nr < XF_BUBBLES)
        return &p->bubbles[p->nr++];
    for (unsigned i = 1; i < p->nr; i++)
        if (p->bubbles[i].when < b->when)
            b = &p->bubbles[i];
    return b;
}

void xf_prefetch_fault(struct xf_prefetch *p, uint64_t gfn)
{
    struct xf_bubble *b = find(p, gfn);

    take(p, gfn);
    p->faults++;
    if (!b) {
        b = oldest(p);
        *b = (struct xf_bubble){.lo = gfn, .hi = gfn + 1};
    } else {
        int64_t stride = (int64_t)(gfn - b->fault);

        b->repeats = stride && stride == b->stride ? b->repeats + 1 : 0;
        b->stride = stride;
        b->ahead = b->repeats > 1 && b->ahead ? b->ahead - 1 : 0;
        if (gfn < b->lo || gfn >= b->hi) {
            b->lo = gfn;
            b->hi = gfn + 1;
        }
    }
    b->fault = gfn;
    b->given = 0;
    b->when = p->faults;
}

static void reverse(uint64_t *gfns, unsigned n)
{
    for (unsigned i = 0; i < n / 2; i++) {
        uint64_t g = gfns[i];

        gfns[i] = gfns[n - 1 - i];
        gfns[n - 1 - i] = g;
    }
}

/* Pages along a stride that has repeated. */
static unsigned follow(struct xf_prefetch *p, struct xf_bubble *b, uint64_t *gfns, unsigned max)
{
    unsigned n = 0;
    uint64_t steps = (uint64_t)STRIDE_STEPS << (b->repeats < 6 ? b->repeats : 6);

    if (!b->repeats || b->stride == 1 || b->stride == -1)
        return 0;
    if (steps > STRIDE_STEPS_MAX)
        steps = STRIDE_STEPS_MAX;
    while (n < max && b->ahead < steps) {
        uint64_t gfn = b->fault + (uint64_t)b->stride * (b->ahead + 1);

        if (gfn >= p->nr_gfns) /* also when it went below 0 */
            break;
        b->ahead++;
        if (take(p, gfn))
            gfns[n++] = gfn;
    }
    if (b->stride < 0)
        reverse(gfns, n);
    return n;
}

/* At most max pages upwards from hi. */
static unsigned grow_up(struct xf_prefetch *p, struct xf_bubble *b, uint64_t *gfns, unsigned max)
{
    unsigned n = 0;

    while (n < max && b->hi < p->nr_gfns && b->hi - b->fault < BUBBLE_MAX) {
        if (take(p, b->hi))
            gfns[n++] = b->hi;
        b->hi++;
    }
    return n;
}

static unsigned grow_down(struct xf_prefetch *p, struct xf_bubble *b, uint64_t *gfns, unsigned max)
{
    unsigned n = 0;

    while (n < max && b->lo > 0 && b->fault - b->lo < BUBBLE_MAX) {
        b->lo--;
        if (take(p, b->lo))
            gfns[n++] = b->lo;
    }
    reverse(gfns, n);
    return n;
}

static unsigned grow(struct xf_prefetch *p, struct xf_bubble *b, uint64_t *gfns, unsigned max)
{
    unsigned chunk = b->given < FIRST_CHUNK ? FIRST_CHUNK
                     : b->given < max       ? (unsigned)b->given
                                            : max;
    unsigned down, n;

    if (chunk > max)
        chunk = max;
    n = follow(p, b, gfns, chunk);
    if (!n) {
        /* A quarter goes against the direction of the faults. */
        down = b->stride < 0 ? chunk - chunk / 4 : chunk / 4;
        n = grow_down(p, b, gfns, down);
        n += grow_up(p, b, gfns + n, chunk - n);
        if (!n)
            n = grow_down(p, b, gfns, chunk);
    }
    b->given += n;
    return n;
}

/* The bubble that has given least, the newest of equals. */
static struct xf_bubble *smallest(struct xf_prefetch *p)
{
    struct xf_bubble *best = NULL;

    for (unsigned i = 0; i < p->nr; i++) {
        struct xf_bubble *b = &p->bubbles[i];

        if (!best || b->given < best->given || (b->given == best->given && b->when > best->when))
            best = b;
    }
    return best;
}

static unsigned walk(struct xf_prefetch *p, uint64_t *gfns, unsigned max)
{
    unsigned n = 0;

    if (xf_bitmap_next(p->left, p->at, p->nr_gfns) >= p->nr_gfns)
        p->at = 0;
    while (n < max) {
        uint64_t gfn = xf_bitmap_next(p->left, p->at, p->nr_gfns);

        if (gfn >= p->nr_gfns)
            break;
        take(p, gfn);
        gfns[n++] = gfn;
        p->at = gfn + 1;
    }
    return n;
}

unsigned xf_prefetch_next(struct xf_prefetch *p, uint64_t *gfns, unsigned max)
{
    struct xf_bubble *b;

    while (!p->linear && p->nr_left && (b = smallest(p))) {
        unsigned n = b->given < BUBBLE_MAX ? grow(p, b, gfns, max) : 0;

        if (n)
            return n;
        *b = p->bubbles[--p->nr]; /* nothing left within its reach */
    }
    return walk(p, gfns, max);
}
