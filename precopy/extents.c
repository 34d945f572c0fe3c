/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets of gfns over the control channel: see extents.h. */
#include "precopy/extents.h"

bool xf_next_extents(struct xf_extents *x, const unsigned long *map, uint64_t *at, uint64_t nr_gfns)
{
    uint64_t g = xf_bitmap_next(map, *at, nr_gfns);

    x->nr = 0;
    while (g < nr_gfns && x->nr < XF_EXTENTS_MAX) {
        uint64_t end = g + 1;

        while (end < nr_gfns && xf_bit(map, end))
            end++;
        x->list[x->nr++] = (struct xf_extent){.gfn = g, .count = end - g};
        g = xf_bitmap_next(map, end, nr_gfns);
    }
    *at = g;
    x->flags = g >= nr_gfns ? XF_EXTENTS_LAST : 0;
    return x->flags;
}

int xf_send_extents(struct xf_link *l, uint16_t type, const unsigned long *map, uint64_t nr_gfns,
                    struct xf_extents *x, void *meta, unsigned *nr_msgs, struct xf_err *err)
{
    uint64_t at = 0;
    bool last;

    do {
        last = xf_next_extents(x, map, &at, nr_gfns);
        if (xf_link_say(l, type, meta, xf_extents_encode(x, meta), err))
            return -1;
        if (nr_msgs)
            ++*nr_msgs;
    } while (!last);
    return 0;
}

void xf_set_extents(unsigned long *map, const struct xf_extents *x)
{
    for (uint32_t i = 0; i < x->nr; i++)
        for (uint64_t g = x->list[i].gfn; g < x->list[i].gfn + x->list[i].count; g++)
            xf_set(map, g);
}
