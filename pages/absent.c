/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which pages are absent at the sink: see absent.h. */
#include "pages/absent.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "pages/rings.h"

int xf_absent_init(struct xf_absent *a, struct xf_sink_vm *vm, struct xf_err *err)
{
    memset(a, 0, sizeof(*a));
    a->vm = vm;
    pthread_rwlock_init(&a->lock, NULL);
    a->missing = xf_bitmap_new(vm->nr_gfns);
    a->rings = xf_bitmap_new(vm->nr_gfns);
    a->built = xf_bitmap_new(vm->nr_gfns);
    if (!a->missing || !a->rings || !a->built)
        return xf_fail(err, ENOMEM, "out of memory for maps of absent pages");
    xf_mark_rings(vm, a->rings);
    xf_mark_built(vm, a->built);
    return 0;
}

void xf_absent_free(struct xf_absent *a)
{
    if (!a->vm)
        return;
    free(a->missing);
    free(a->rings);
    free(a->built);
    pthread_rwlock_destroy(&a->lock);
    memset(a, 0, sizeof(*a));
}

/* Mark one batch of gfns, none of which is absent yet. */
XF_NEEDS(xf_absent_lock)
static int mark_some(struct xf_absent *a, struct xf_view *v, const uint64_t *gfns, unsigned n,
                     unsigned long *present, unsigned long *refused, struct xf_err *err)
{
    uint64_t fresh[XF_BATCH_PAGES];
    uint8_t no[XF_BATCH_PAGES] = {0};
    unsigned nr_fresh = 0;
    uint64_t began;

    for (unsigned i = 0; i < n; i++)
        if (!xf_set_atomic(present, gfns[i]))
            fresh[nr_fresh++] = gfns[i];
    began = xf_now_ns();
    if (nr_fresh && a->vm->ops->populate(v, fresh, nr_fresh, err))
        return -1;
    xf_cost_add(&a->populate, nr_fresh, began);
    began = xf_now_ns();
    if (a->vm->pager->mark(v, gfns, n, no, err))
        return -1;
    xf_cost_add(&a->evict, n, began);
    for (unsigned i = 0; i < n; i++) {
        if (no[i]) {
            xf_set(refused, gfns[i]);
            continue;
        }
        xf_set_atomic(a->missing, gfns[i]);
        a->nr++;
    }
    return 0;
}

XF_NEEDS(xf_absent_lock)
static int mark_set(struct xf_absent *a, struct xf_view *v, const struct xf_extents *set,
                    unsigned long *present, unsigned long *refused, struct xf_err *err)
{
    uint64_t gfns[XF_BATCH_PAGES];
    unsigned n = 0;

    for (uint32_t i = 0; i < set->nr; i++) {
        for (uint64_t g = set->list[i].gfn; g < set->list[i].gfn + set->list[i].count; g++) {
            if (xf_bit(a->rings, g))
                return xf_fail(err, EPROTO, "the source named gfn 0x%llx, which is not its to send",
                               (unsigned long long)g);
            if (xf_is_absent(a, g))
                continue;
            /* Pages built with the domain are in use by the hypervisor, or will be. */
            if (xf_bit(a->built, g)) {
                xf_set(refused, g);
                continue;
            }
            gfns[n++] = g;
            if (n < XF_BATCH_PAGES)
                continue;
            if (mark_some(a, v, gfns, n, present, refused, err) || xf_tick(a->tick, err))
                return -1;
            n = 0;
        }
    }
    return n ? mark_some(a, v, gfns, n, present, refused, err) : 0;
}

int xf_absent_mark(struct xf_absent *a, struct xf_view *v, const struct xf_extents *set,
                   unsigned long *present, unsigned long *refused, struct xf_err *err)
{
    int rc;

    xf_wrlock(&a->lock, xf_absent_lock);
    rc = mark_set(a, v, set, present, refused, err);
    xf_rwunlock(&a->lock, xf_absent_lock);
    return rc;
}

int xf_absent_put(struct xf_absent *a, struct xf_view *v, const uint64_t *gfns,
                  const uint8_t *const *pages, unsigned n, struct xf_err *err)
{
    uint64_t mine[XF_BATCH_PAGES];
    const uint8_t *from[XF_BATCH_PAGES];
    uint64_t began = xf_now_ns();
    unsigned nr = 0;

    assert(n <= XF_BATCH_PAGES);
    for (unsigned i = 0; i < n; i++) {
        if (!xf_unset_atomic(a->missing, gfns[i]))
            continue;
        mine[nr] = gfns[i];
        from[nr++] = pages[i];
    }
    if (nr && a->vm->pager->put(v, mine, from, nr, err)) {
        for (unsigned i = 0; i < nr; i++)
            xf_set_atomic(a->missing, mine[i]);
        return -1;
    }
    if (nr)
        xf_cost_add(&a->put, nr, began);
    a->nr -= nr;
    return (int)nr;
}

void xf_absent_drop(struct xf_absent *a, uint64_t gfn)
{
    if (xf_unset_atomic(a->missing, gfn))
        a->nr--;
}
