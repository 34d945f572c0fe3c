/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's accesses to missing pages, from the fault until the page is in: the list of the pages
 * that are waited for. The requests for them are sent in pager_urgent.c.
 */
#include "postcopy/pager_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "transport/clock.h"

#define FAULTS_AT_ONCE 64u

XF_NEEDS(pager_lock)
static struct wait *find_wait(struct xf_pager *p, uint64_t gfn)
{
    for (unsigned i = 0; i < p->nr_waits; i++)
        if (p->waits[i].gfn == gfn)
            return &p->waits[i];
    return NULL;
}

XF_NEEDS(pager_lock)
static void end_wait(struct xf_pager *p, struct wait *w)
{
    assert(p->nr_waits && p->nr_new <= p->nr_waits && (w->asked || p->nr_new));
    if (!w->asked)
        p->nr_new--;
    *w = p->waits[--p->nr_waits];
}

XF_NEEDS(pager_lock)
static int add_wait(struct xf_pager *p, uint64_t gfn, struct xf_err *err)
{
    if (find_wait(p, gfn))
        return 0;
    if (p->nr_waits == p->max_waits) {
        unsigned max = p->max_waits ? 2 * p->max_waits : 64;
        struct wait *more = realloc(p->waits, max * sizeof(*more));

        if (!more)
            return xf_fail(err, ENOMEM, "out of memory for the list of faults");
        p->waits = more;
        p->max_waits = max;
    }
    p->waits[p->nr_waits++] = (struct wait){.gfn = gfn, .since = xf_now_ns()};
    p->nr_new++;
    p->faults++;
    return 0;
}

void xf_pager_arrived(struct xf_pager *p, const uint64_t *gfns, unsigned n)
{
    uint64_t now;

    xf_lock(&p->lock, pager_lock);
    now = p->nr_waits ? xf_now_ns() : 0;
    for (unsigned i = 0; i < n && p->nr_waits; i++) {
        struct wait *w = find_wait(p, gfns[i]);

        if (!w)
            continue;
        xf_times_add(&p->times, now - w->since);
        end_wait(p, w);
    }
    xf_unlock(&p->lock, pager_lock);
}

int xf_pager_drain_faults(struct xf_pager *p, struct xf_err *err)
{
    struct xf_fault list[FAULTS_AT_ONCE];
    int n, rc = 0;

    do {
        n = p->vm->pager->read_faults(p->vm, list, FAULTS_AT_ONCE, err);
        if (n < 0)
            return -1;
        xf_lock(&p->lock, pager_lock);
        for (int i = 0; i < n && !rc; i++) {
            struct wait *w;

            if (!list[i].dropped) {
                /* Not absent: the page arrived meanwhile, and its waiting vcpus have been
                 * resumed. Absent but just being put in: the same in a moment. */
                if (xf_is_absent(p->absent, list[i].gfn))
                    rc = add_wait(p, list[i].gfn, err);
                continue;
            }
            xf_absent_drop(p->absent, list[i].gfn);
            w = find_wait(p, list[i].gfn);
            if (w)
                end_wait(p, w);
        }
        xf_unlock(&p->lock, pager_lock);
    } while (n == (int)FAULTS_AT_ONCE && !rc);
    return rc;
}
