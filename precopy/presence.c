/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which gfns have memory, round by round: see presence.h. */
#include "precopy/presence.h"

#include <errno.h>
#include <string.h>

#include "transport/clock.h"

#define CHUNK XF_BATCH_PAGES
#define TICK_MS 50

int xf_presence_init(struct xf_presence *p, struct xf_source_vm *vm, struct xf_err *err)
{
    *p = (struct xf_presence){.vm = vm};
    p->now = xf_bitmap_new(vm->nr_gfns);
    p->before = xf_bitmap_new(vm->nr_gfns);
    p->fresh = xf_bitmap_new(vm->nr_gfns);
    p->ever = xf_bitmap_new(vm->nr_gfns / CHUNK + 1);
    p->looked = xf_bitmap_new(vm->nr_gfns / CHUNK + 1);
    if (!p->now || !p->before || !p->fresh || !p->ever || !p->looked)
        return xf_fail(err, ENOMEM, "out of memory for the guest's page map");
    return vm->ops->view_open(vm, &p->view, err);
}

void xf_presence_free(struct xf_presence *p)
{
    if (p->view)
        p->vm->ops->view_close(p->view);
    free(p->now);
    free(p->before);
    free(p->fresh);
    free(p->ever);
    free(p->looked);
    *p = (struct xf_presence){0};
}

/* Classify one chunk into p->now, unless that was done. */
static int look(struct xf_presence *p, uint64_t chunk, struct xf_err *err)
{
    uint64_t first = chunk * CHUNK, gfns[CHUNK];
    uint64_t left = p->vm->nr_gfns - first;
    unsigned n = left < CHUNK ? (unsigned)left : CHUNK;
    uint8_t ram[CHUNK];
    bool any = false;

    if (xf_bit(p->looked, chunk))
        return 0;
    for (unsigned i = 0; i < CHUNK; i++)
        gfns[i] = first + i;
    if (p->vm->ops->classify(p->view, gfns, n, ram, err))
        return -1;
    for (unsigned i = 0; i < n; i++) {
        if (!ram[i])
            continue;
        any = true;
        xf_set(p->now, gfns[i]);
        p->present++;
    }
    xf_set(p->looked, chunk);
    if (any)
        xf_set(p->ever, chunk);
    return 0;
}

/* A sweep of a large guest takes seconds, and the caller may want to end it. */
static int let_tick(struct xf_presence *p, int64_t *next, struct xf_err *err)
{
    int64_t now = xf_now_ms();

    if (!p->tick.call || now < *next)
        return 0;
    *next = now + TICK_MS;
    return xf_tick(p->tick, err);
}

/*
 * Look at the chunks that ever had a page, or everywhere until `population` pages are found. A
 * small guest's address space is mostly one hole: memory from 0, ACPI tables and special pages
 * right below 4 GiB, and examining a hole costs as much as a page. So everywhere means from both
 * ends; when every page is found, the rest in the middle is the hole.
 */
static int look_all(struct xf_presence *p, bool everywhere, uint64_t population, struct xf_err *err)
{
    uint64_t chunks = (p->vm->nr_gfns + CHUNK - 1) / CHUNK;
    int64_t next_tick = xf_now_ms() + TICK_MS;
    double began = xf_now();

    memset(p->now, 0, xf_bitmap_words(p->vm->nr_gfns) * sizeof(*p->now));
    memset(p->looked, 0, xf_bitmap_words(p->vm->nr_gfns / CHUNK + 1) * sizeof(*p->looked));
    p->present = 0;
    for (uint64_t c = 0; c < chunks; c++) {
        if (everywhere && p->present >= population)
            break;
        if ((everywhere || xf_bit(p->ever, c)) && look(p, c, err))
            return -1;
        if (everywhere && look(p, chunks - 1 - c, err))
            return -1;
        if (let_tick(p, &next_tick, err))
            return -1;
    }
    p->last_sweep_s = xf_now() - began;
    return 0;
}

int xf_presence_first(struct xf_presence *p, struct xf_err *err)
{
    if (p->vm->ops->population(p->vm, &p->population, err) || look_all(p, true, p->population, err))
        return -1;
    p->extra = p->population > p->present ? p->population - p->present : 0;
    return 0;
}

int xf_presence_sweep(struct xf_presence *p, unsigned long *todo, struct xf_err *err)
{
    size_t words = xf_bitmap_words(p->vm->nr_gfns);
    unsigned long *swap = p->before;
    uint64_t population;
    bool changed = false;

    p->before = p->now;
    p->now = swap;
    if (p->vm->ops->population(p->vm, &population, err) || look_all(p, false, population, err))
        return -1;
    /* More pages than were found: some are in chunks that had none before. Look everywhere. */
    if (population > p->present + p->extra && look_all(p, true, population, err))
        return -1;
    p->population = population;
    for (size_t w = 0; w < words; w++) {
        unsigned long fresh = p->now[w] & ~p->before[w];
        unsigned long gone = p->before[w] & ~p->now[w];

        changed |= (fresh | gone) != 0;
        todo[w] |= fresh | gone | p->fresh[w];
        p->fresh[w] = fresh;
    }
    p->quiet = changed ? 0 : p->quiet + 1;
    return 0;
}

int xf_presence_settled(struct xf_presence *p, double budget_s, bool *settled, struct xf_err *err)
{
    uint64_t population;

    if (p->vm->ops->population(p->vm, &population, err))
        return -1;
    *settled = population == p->population && p->quiet >= 2 && p->last_sweep_s > budget_s;
    return 0;
}

void xf_presence_owed(const struct xf_presence *p, unsigned long *todo)
{
    for (size_t w = 0; w < xf_bitmap_words(p->vm->nr_gfns); w++)
        todo[w] |= p->fresh[w];
}
