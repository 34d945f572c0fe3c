/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Choosing, at the source, the pages that are sent only after GO (contract in copy_parts.h).
 *
 * While the guest still runs: take the dirty log, have the destination mark these pages absent, and
 * repeat this for pages written meanwhile, until these are few. A page that is already marked costs
 * nothing when it is written again, and the pages of the last log (set B: written just before the
 * suspend, and by suspending) are sent before GO. So the downtime includes neither the marking nor
 * more pages than the guest writes in a few moments.
 *
 * A link that is lost meanwhile may be replaced, as in COPY; then this starts again.
 */
#include "precopy/copy_parts.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "pages/extents.h"
#include "pages/rings.h"

#define TICK_MS 20
#define PASSES 4
/* A pass that finds no more than this is the last: these pages are hot anyway. */
#define FEW_PAGES 256
/* Most unanswered messages. */
#define WINDOW 8
/* How long the destination may take for one of them, beyond 1 ms for each 16 pages that it
 * marks: under emulation a page takes 0.04 ms. */
#define ANSWER_MS 60000

bool xf_copy_leaves(const struct xf_copy *c)
{
    return c->opts.mode == XF_MODE_POSTCOPY || (c->opts.mode == XF_MODE_HYBRID && c->status.leave);
}

/* Receive the answer to a message that named `pages` pages: those that cannot be absent are due
 * before GO. */
static int hear_answer(struct xf_copy *c, uint64_t pages, struct xf_extents *x, uint8_t *meta,
                       struct xf_err *err)
{
    struct xf_extents_in in = xf_extents_expect(ANSWER_MS, pages);
    struct xf_msg m;

    do {
        int rc = xf_link_hear(c->link, XF_MSG_ABSENT_ACK, &m, meta, TICK_MS, err);

        if (rc < 0 || xf_copy_tick(c, err))
            return -1;
        x->flags = 0;
        if (!rc && xf_extents_decode(x, &m, meta, c->vm->nr_gfns, err))
            return -1;
        if (xf_extents_take(&in, rc ? NULL : x, err))
            return -1;
        if (!rc)
            xf_set_extents(c->due, x);
    } while (!(x->flags & XF_EXTENTS_LAST));
    return 0;
}

static uint64_t pages_of(const struct xf_extents *x)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < x->nr; i++)
        n += x->list[i].count;
    return n;
}

/* Have the pages in `map` marked absent. */
static int declare(struct xf_copy *c, const unsigned long *map, struct xf_extents *x,
                   struct xf_err *err)
{
    uint8_t meta[XF_META_MAX];
    uint64_t at = 0, pages[WINDOW]; /* of the unanswered messages */
    unsigned sent = 0, answered = 0;
    bool last = false;

    while (!last || answered < sent) {
        assert(sent - answered <= WINDOW);
        if (last || sent - answered == WINDOW) {
            if (hear_answer(c, pages[answered % WINDOW], x, meta, err))
                return -1;
            answered++;
            continue;
        }
        last = xf_next_extents(x, map, &at, c->vm->nr_gfns);
        pages[sent++ % WINDOW] = pages_of(x);
        if (xf_link_say(c->link, XF_MSG_ABSENT, meta, xf_extents_encode(x, meta), err))
            return -1;
    }
    return 0;
}

/* The pages of this pass, into c->dirty. */
static int look(struct xf_copy *c, unsigned pass, struct xf_err *err)
{
    size_t words = xf_bitmap_words(c->vm->nr_gfns);

    if (c->vm->ops->log_read(c->vm, XF_LOG_CLEAN, c->dirty, err))
        return -1;
    if (pass == 0) {
        if (xf_presence_sweep(&c->presence, c->dirty, err))
            return -1;
        /* Pages not sent by a round that was cut short; in post-copy all pages that are not
         * zero. */
        for (size_t w = 0; w < words; w++)
            c->dirty[w] |= c->owed[w];
        /* A guest that balloons may have released a page and got it back: the log does not show
         * what it then wrote to it. So no page that was zero before is assumed to be zero still. */
        for (size_t w = 0; c->zeros && !c->presence.quiet && w < words; w++)
            c->dirty[w] |= c->zeros[w];
    }
    xf_drop_rings(c->vm, c->dirty);
    return 0;
}

static int passes(struct xf_copy *c, struct xf_extents *x, struct xf_err *err)
{
    size_t words = xf_bitmap_words(c->vm->nr_gfns);

    for (unsigned pass = 0; pass < PASSES; pass++) {
        uint64_t fresh;

        if (look(c, pass, err))
            return -1;
        for (size_t w = 0; w < words; w++) {
            /* Gone, or newer than the last sweep: only known pages are marked. */
            c->due[w] |= c->dirty[w] & ~c->presence.now[w];
            c->dirty[w] &= c->presence.now[w] & ~c->missing[w];
        }
        fresh = xf_bitmap_count(c->dirty, c->vm->nr_gfns);
        if (fresh && declare(c, c->dirty, x, err))
            return -1;
        for (size_t w = 0; w < words; w++)
            c->missing[w] |= c->dirty[w] & ~c->due[w];
        if (xf_copy_tick(c, err))
            return -1;
        if (fresh <= FEW_PAGES)
            break;
    }
    return 0;
}

/* Pages that the guest must find in place, whatever the log names, are due before GO. They do
 * not move while the guest runs, so they need not be searched for while it is suspended. */
static int spare_eager(struct xf_copy *c, struct xf_err *err)
{
    if (!c->vm->ops->eager)
        return 0;
    memset(c->dirty, 0, xf_bitmap_words(c->vm->nr_gfns) * sizeof(*c->dirty));
    if (c->vm->ops->eager(c->vm, c->dirty, err))
        return -1;
    for (size_t w = 0; w < xf_bitmap_words(c->vm->nr_gfns); w++)
        c->due[w] |= c->dirty[w] & c->missing[w];
    return 0;
}

/* The link was lost and replaced. Pages that the destination has marked, perhaps unable to
 * answer, have no content there any more: all of them are chosen again. */
static void begin_anew(struct xf_copy *c)
{
    size_t words = xf_bitmap_words(c->vm->nr_gfns);

    for (size_t w = 0; w < words; w++)
        c->owed[w] |= c->missing[w] | c->due[w] | c->dirty[w];
    memcpy(c->pending, c->owed, words * sizeof(*c->owed));
    memset(c->missing, 0, words * sizeof(*c->missing));
    memset(c->due, 0, words * sizeof(*c->due));
}

int xf_copy_leave(struct xf_copy *c, struct xf_err *err)
{
    struct xf_extents *x = malloc(sizeof(*x));
    int rc;

    c->missing = xf_bitmap_new(c->vm->nr_gfns);
    c->due = xf_bitmap_new(c->vm->nr_gfns);
    if (!x || !c->missing || !c->due) {
        free(x);
        return xf_fail(err, ENOMEM, "out of memory for the set of pages to be left out");
    }
    while ((rc = passes(c, x, err)) != 0) {
        if (xf_copy_change_link(c, err))
            break;
        begin_anew(c);
    }
    free(x);
    return rc || spare_eager(c, err) ? -1 : 0;
}

/* The switch was not asked for, and the missing pages are so few that leaving them out saves
 * less downtime than PULL would cost the guest. */
static bool are_few(const struct xf_copy *c)
{
    const struct xf_round r = {
        .remaining = c->nr_missing, .page_rate = c->status.page_rate, .fixed_s = c->opts.fixed_s};

    return c->opts.mode == XF_MODE_HYBRID && c->status.reason != XF_SWITCH_ASKED &&
           !xf_policy_worth(&c->opts.policy, &r);
}

void xf_copy_settle(struct xf_copy *c)
{
    size_t words = xf_bitmap_words(c->vm->nr_gfns);
    unsigned long *todo = c->order.todo;

    assert(c->missing && c->due);
    for (size_t w = 0; w < words; w++) {
        todo[w] |= c->due[w];
        c->missing[w] &= ~todo[w];
    }
    c->nr_missing = xf_bitmap_count(c->missing, c->vm->nr_gfns);
    if (!c->nr_missing || !are_few(c))
        return;
    for (size_t w = 0; w < words; w++)
        todo[w] |= c->missing[w];
    memset(c->missing, 0, words * sizeof(*c->missing));
    c->nr_missing = 0;
}
