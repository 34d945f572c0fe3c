/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * COPY at the source, before the first round: which ranges of the guest's memory are whole, so that
 * the destination may give them large pages. It could not know from the pages alone: those that are
 * written meanwhile come in later rounds, and each thread there sees its own batches only.
 *
 * Not before post-copy, in which every page is absent at first and Xen's absent pages are small.
 */
#include "precopy/copy_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pages/extents.h"
#include "pages/rings.h"

#define TICK_MS 50
#define RANGE_WORDS (XF_LARGE_PAGES / XF_WORD_BITS)

/* Of the pages in `map` keep those in ranges that are there as a whole. Returns how many. */
static uint64_t keep_whole(unsigned long *map, uint64_t nr_gfns)
{
    size_t words = xf_bitmap_words(nr_gfns);
    uint64_t pages = 0;

    for (size_t w = 0; w < words; w += RANGE_WORDS) {
        bool whole = w + RANGE_WORDS <= words;

        for (size_t i = w; whole && i < w + RANGE_WORDS; i++)
            whole = map[i] == ~0ul;
        for (size_t i = w; !whole && i < w + RANGE_WORDS && i < words; i++)
            map[i] = 0;
        pages += whole ? XF_LARGE_PAGES : 0;
    }
    return pages;
}

static int tell(struct xf_copy *c, const unsigned long *map, struct xf_err *err)
{
    struct xf_extents *x = calloc(1, sizeof(*x));
    uint8_t meta[XF_META_MAX];
    struct xf_msg m;
    int rc;

    if (!x)
        return xf_fail(err, ENOMEM, "out of memory for a set of pages");
    rc = xf_send_extents(c->link, XF_MSG_WHOLE, map, c->vm->nr_gfns, x, meta, NULL, err);
    free(x);
    if (rc)
        return -1;
    while ((rc = xf_link_hear(c->link, XF_MSG_WHOLE_ACK, &m, meta, TICK_MS, err)) == XF_AGAIN)
        if (xf_copy_tick(c, err))
            return -1;
    return rc;
}

int xf_copy_tell_whole(struct xf_copy *c, struct xf_err *err)
{
    size_t bytes = xf_bitmap_words(c->vm->nr_gfns) * sizeof(*c->dirty);

    if (c->whole_told || !c->opts.large || c->opts.mode == XF_MODE_POSTCOPY)
        return 0;
    memcpy(c->dirty, c->presence.now, bytes);
    xf_drop_rings(c->vm, c->dirty);
    c->status.whole_pages = keep_whole(c->dirty, c->vm->nr_gfns);
    if (c->status.whole_pages && tell(c, c->dirty, err))
        return -1;
    c->whole_told = true;
    return 0;
}
