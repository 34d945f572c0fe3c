/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order of pages within a round: see order.h.
 *
 * Why pages that are dirty again are skipped: the dirty log already holds them, so they are sent in
 * the next round (or in SWITCH) anyway, and sending them now would be in vain. A skip loses
 * nothing: a bit in `again` was peeked, not cleared.
 */
#include "precopy/order.h"

#define BUCKETS 4

int xf_order_init(struct xf_order *o, uint64_t nr_gfns)
{
    *o = (struct xf_order){.nr_gfns = nr_gfns};
    o->todo = xf_bitmap_new(nr_gfns);
    o->again = xf_bitmap_new(nr_gfns);
    o->heat = calloc(nr_gfns ? nr_gfns : 1, 1);
    if (!o->todo || !o->again || !o->heat) {
        xf_order_free(o);
        return -1;
    }
    return 0;
}

void xf_order_free(struct xf_order *o)
{
    free(o->todo);
    free(o->again);
    free(o->heat);
    o->todo = o->again = NULL;
    o->heat = NULL;
}

/* 0: not written in the last rounds ... 3: written in at least three of the last four. */
static unsigned heat_class(uint8_t heat)
{
    unsigned n = (unsigned)__builtin_popcount(heat & 0xf0u);

    return n >= BUCKETS ? BUCKETS - 1 : n;
}

void xf_order_begin(struct xf_order *o, const unsigned long *dirty)
{
    for (uint64_t g = 0; dirty && g < o->nr_gfns; g++)
        o->heat[g] = (uint8_t)(o->heat[g] >> 1 | (xf_bit(dirty, g) ? 0x80 : 0));
    for (size_t w = 0; w < xf_bitmap_words(o->nr_gfns); w++)
        o->again[w] = 0;
    o->left = xf_bitmap_count(o->todo, o->nr_gfns);
    o->bucket = 0;
    o->at = 0;
}

unsigned xf_order_next(struct xf_order *o, uint64_t *gfns, unsigned max, bool skip_again)
{
    unsigned n = 0;

    while (n < max && o->left > 0 && o->bucket < BUCKETS) {
        uint64_t g = xf_bitmap_next(o->todo, o->at, o->nr_gfns);

        if (g >= o->nr_gfns) {
            if (n)
                break; /* a batch's gfns ascend: the hotter class starts a new one */
            o->bucket++;
            o->at = 0;
            continue;
        }
        o->at = g + 1;
        if (skip_again && xf_bit(o->again, g)) {
            o->skipped++;
        } else if (heat_class(o->heat[g]) == o->bucket) {
            gfns[n++] = g;
        } else {
            continue;
        }
        xf_unset(o->todo, g);
        o->left--;
    }
    return n;
}
