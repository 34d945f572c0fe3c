/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * COPY of a post-copy move, which has no rounds, only one look at all pages: the zero pages are
 * reported now, many per message, instead of being fetched one by one in PULL. The dirty log is on,
 * so a page that is written later is still left for PULL.
 */
#include "precopy/copy_parts.h"

#include <errno.h>
#include <string.h>

#include "pages/rings.h"

#define TICK_MS 50

/* The next pages of the map, ascending. */
static unsigned next_pages(const unsigned long *map, uint64_t *at, uint64_t nr_gfns, uint64_t *gfns)
{
    unsigned n = 0;

    for (; n < XF_BATCH_PAGES; n++) {
        gfns[n] = xf_bitmap_next(map, *at, nr_gfns);
        if (gfns[n] >= nr_gfns)
            break;
        *at = gfns[n] + 1;
    }
    return n;
}

int xf_copy_tell_zeros(struct xf_copy *c, struct xf_err *err)
{
    struct xf_copy_status *st = &c->status;
    size_t words = xf_bitmap_words(c->vm->nr_gfns);
    uint64_t gfns[XF_BATCH_PAGES], at = 0;
    unsigned n;

    if (!c->zeros)
        c->zeros = xf_bitmap_new(c->vm->nr_gfns);
    if (!c->zeros)
        return xf_fail(err, ENOMEM, "out of memory for the set of zero pages");
    memset(c->zeros, 0, words * sizeof(*c->zeros)); /* no sync has confirmed any */
    memcpy(c->order.todo, c->owed, words * sizeof(*c->owed));
    xf_drop_rings(c->vm, c->order.todo);
    st->round_pages = xf_bitmap_count(c->order.todo, c->vm->nr_gfns);
    st->round_done = 0;
    st->round_began = xf_now();
    while ((n = next_pages(c->order.todo, &at, c->vm->nr_gfns, gfns)) > 0) {
        int rc;

        do {
            rc = xf_senders_push_zeros(c->senders, gfns, n, c->zeros, TICK_MS, err);
            if (rc >= 0 && xf_copy_tick(c, err))
                rc = -1;
        } while (rc == XF_AGAIN);
        if (rc)
            return -1;
        st->round_done += n;
    }
    if (xf_copy_sync_round(c, NULL, err))
        return -1;
    for (size_t w = 0; w < words; w++)
        c->owed[w] &= ~c->zeros[w];
    memcpy(c->pending, c->owed, words * sizeof(*c->owed));
    return 0;
}
