/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Large pages at the destination: see large.h. */
#include "precopy/large.h"

#include <errno.h>

#define RANGE_WORDS (XF_LARGE_PAGES / XF_WORD_BITS)

int xf_large_init(struct xf_large *l, struct xf_sink_vm *vm, unsigned long *present,
                  const unsigned long *rings)
{
    l->vm = vm;
    l->present = present;
    l->rings = rings;
    l->whole = xf_bitmap_new(vm->nr_gfns / XF_LARGE_PAGES + 1);
    pthread_mutex_init(&l->lock, NULL);
    return l->whole ? 0 : -1;
}

void xf_large_free(struct xf_large *l)
{
    if (l->vm)
        pthread_mutex_destroy(&l->lock);
    free(l->whole);
}

int xf_large_add(struct xf_large *l, const struct xf_extents *set, struct xf_err *err)
{
    if (!l->vm->ops->populate_large)
        return 0;
    for (uint32_t i = 0; i < set->nr; i++) {
        const struct xf_extent *e = &set->list[i];

        if (e->gfn % XF_LARGE_PAGES || e->count % XF_LARGE_PAGES)
            return xf_fail(err, EPROTO, "the source named a part of a large page, gfn 0x%llx",
                           (unsigned long long)e->gfn);
        for (uint64_t g = e->gfn; g < e->gfn + e->count; g += XF_LARGE_PAGES)
            if (!xf_set_atomic(l->whole, g / XF_LARGE_PAGES))
                l->left++;
    }
    return 0;
}

/* Has no gfn of the range memory, and are all the source's to send? */
static bool is_empty(const struct xf_large *l, uint64_t range)
{
    for (size_t w = range * RANGE_WORDS; w < (range + 1) * RANGE_WORDS; w++)
        if (__atomic_load_n(&l->present[w], __ATOMIC_ACQUIRE) || l->rings[w])
            return false;
    return true;
}

/* The first page of the range arrives, or it has lost one. Its bit is cleared last: until then all
 * who need the range come here, and wait. */
static void settle(struct xf_large *l, struct xf_view *view, uint64_t range, bool lost)
{
    xf_lock(&l->lock, large_lock);
    if (xf_bit(l->whole, range)) {
        if (!lost && is_empty(l, range) &&
            !l->vm->ops->populate_large(view, range * XF_LARGE_PAGES)) {
            for (size_t w = range * RANGE_WORDS; w < (range + 1) * RANGE_WORDS; w++)
                __atomic_store_n(&l->present[w], ~0ul, __ATOMIC_RELEASE);
            l->pages += XF_LARGE_PAGES;
        }
        xf_unset_atomic(l->whole, range);
        l->left--;
    }
    xf_unlock(&l->lock, large_lock);
}

void xf_large_touch(struct xf_large *l, struct xf_view *view, const struct xf_batch *b)
{
    if (!l->left)
        return;
    for (unsigned i = 0; i < b->nr_runs; i++) {
        const struct xf_run *run = &b->runs[i];
        uint64_t last = (run->gfn + run->count - 1) / XF_LARGE_PAGES;

        for (uint64_t r = run->gfn / XF_LARGE_PAGES; r <= last; r++)
            if (xf_bit_atomic(l->whole, r))
                settle(l, view, r, run->kind == XF_RUN_ABSENT);
    }
}
