/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets of gfns sent over the control channel: see extents.h. */
#include "pages/extents.h"

#include <errno.h>

#include "transport/clock.h"

/* At 1 Mbit/s; at worst every other gfn is an extent of its own: 8 bytes per gfn. */
#define GFNS_PER_MS 16

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

bool xf_next_within(struct xf_extents *x, const unsigned long *map, const struct xf_extents *in,
                    uint64_t *at)
{
    x->nr = 0;
    for (uint32_t i = 0; i < in->nr; i++) {
        uint64_t last = in->list[i].gfn + in->list[i].count;
        uint64_t g = in->list[i].gfn > *at ? in->list[i].gfn : *at;

        while ((g = xf_bitmap_next(map, g, last)) < last) {
            uint64_t end = g + 1;

            if (x->nr == XF_EXTENTS_MAX) {
                *at = g;
                x->flags = 0;
                return false;
            }
            while (end < last && xf_bit(map, end))
                end++;
            x->list[x->nr++] = (struct xf_extent){.gfn = g, .count = end - g};
            g = end;
        }
    }
    x->flags = XF_EXTENTS_LAST;
    return true;
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

struct xf_extents_in xf_extents_expect(int ms, uint64_t nr_gfns)
{
    return (struct xf_extents_in){.until_ms = xf_now_ms() + ms + (int64_t)(nr_gfns / GFNS_PER_MS)};
}

int xf_extents_take(struct xf_extents_in *in, const struct xf_extents *x, struct xf_err *err)
{
    if (x && x->nr) {
        const struct xf_extent *last = &x->list[x->nr - 1];

        if (x->list[0].gfn < in->next)
            return xf_fail(err, EPROTO, "the destination named gfn 0x%llx twice in one set",
                           (unsigned long long)x->list[0].gfn);
        in->next = last->gfn + last->count;
    } else if (x && !(x->flags & XF_EXTENTS_LAST)) {
        return xf_fail(err, EPROTO, "the destination sent an empty part of a set of pages");
    }
    if (xf_now_ms() < in->until_ms || (x && (x->flags & XF_EXTENTS_LAST)))
        return 0;
    return xf_fail_peer(err, ETIMEDOUT, "the destination did not finish a set of pages");
}

void xf_set_extents(unsigned long *map, const struct xf_extents *x)
{
    for (uint32_t i = 0; i < x->nr; i++)
        for (uint64_t g = x->list[i].gfn; g < x->list[i].gfn + x->list[i].count; g++)
            xf_set(map, g);
}

void xf_unset_extents(unsigned long *map, const struct xf_extents *x)
{
    for (uint32_t i = 0; i < x->nr; i++)
        for (uint64_t g = x->list[i].gfn; g < x->list[i].gfn + x->list[i].count; g++)
            xf_unset(map, g);
}
