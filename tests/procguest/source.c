/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A process guest at the source: see source.h. */
#include "tests/procguest/source.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pages/bitmap.h"
#include "tests/procguest/uffd.h"
#include "tests/procguest/view.h"

#define PAGE XF_PAGE_SIZE
#define REGIONS 512u

_Static_assert(sizeof(struct pg_vcpu) * PG_VCPUS <= PG_STATE_BYTES, "vCPUs do not fit");

static struct pg_source *of(struct xf_source_vm *vm)
{
    return (struct pg_source *)vm;
}

static int view_open(struct xf_source_vm *vm, struct xf_view **out, struct xf_err *err)
{
    return pg_view_open(of(vm)->g, vm, out, err);
}

static int classify(struct xf_view *v, const uint64_t *gfns, unsigned n, uint8_t *ram,
                    struct xf_err *err)
{
    (void)err;
    for (unsigned i = 0; i < n; i++)
        ram[i] = v->g->has[gfns[i]];
    return 0;
}

static int map(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_map *m,
               struct xf_err *err)
{
    (void)err;
    pg_view_map(v, gfns, n, m);
    return 0;
}

static int log_start(struct xf_source_vm *vm, struct xf_err *err)
{
    struct pg_source *s = of(vm);
    size_t len = vm->nr_gfns * PAGE;

    if (uffd_register(s->uffd, s->g->mem, len, false) ||
        (s->g->log.sync ? pg_log_start(s->g, s->uffd) : uffd_protect(s->uffd, s->g->mem, len)))
        return xf_fail(err, errno, "cannot log writes: %s", strerror(errno));
    s->logging = true;
    return 0;
}

static int log_read(struct xf_source_vm *vm, enum xf_log_read how, unsigned long *bitmap,
                    struct xf_err *err)
{
    struct pg_source *s = of(vm);
    uint64_t at = (uintptr_t)s->g->mem, end = at + vm->nr_gfns * PAGE;
    struct uffd_region r[REGIONS];

    if (s->g->log.sync)
        return pg_log_read(s->g, s->uffd, how == XF_LOG_CLEAN, bitmap)
                   ? xf_fail(err, errno, "cannot log writes anew: %s", strerror(errno))
                   : 0;
    memset(bitmap, 0, xf_bitmap_words(vm->nr_gfns) * sizeof(*bitmap));
    while (at < end) {
        int n = uffd_written(s->pagemap, &at, end, how == XF_LOG_CLEAN, r, REGIONS);

        if (n < 0)
            return xf_fail(err, errno, "cannot read what was written: %s", strerror(errno));
        for (int i = 0; i < n; i++)
            for (uint64_t a = r[i].start; a < r[i].end; a += PAGE)
                xf_set(bitmap, (a - (uintptr_t)s->g->mem) / PAGE);
    }
    return 0;
}

static void log_stop(struct xf_source_vm *vm)
{
    struct pg_source *s = of(vm);

    if (s->logging)
        uffd_unregister(s->uffd, s->g->mem, vm->nr_gfns * PAGE);
    s->logging = false;
}

static int population(struct xf_source_vm *vm, uint64_t *pages, struct xf_err *err)
{
    (void)err;
    *pages = of(vm)->g->pages;
    return 0;
}

static int target(struct xf_source_vm *vm, uint64_t *kib, struct xf_err *err)
{
    (void)err;
    *kib = vm->nr_gfns * PAGE / 1024;
    return 0;
}

static int alive(struct xf_source_vm *vm, struct xf_err *err)
{
    pid_t pid = of(vm)->g->pid; /* 0 once it was killed; it is no child of ours */

    return pid > 0 && !kill(pid, 0) ? 0 : xf_fail(err, ESRCH, "the guest's process has ended");
}

static int suspend(struct xf_source_vm *vm, struct xf_err *err)
{
    (void)err;
    pg_stop(of(vm)->g);
    return 0;
}

static bool suspended(struct xf_source_vm *vm)
{
    return pg_stopped(of(vm)->g);
}

static int resume(struct xf_source_vm *vm, struct xf_err *err)
{
    (void)err;
    pg_run(of(vm)->g);
    return 0;
}

static int untouched(struct xf_source_vm *vm, struct xf_view *v, struct xf_err *err)
{
    struct pg_source *s = of(vm);
    uint32_t before = UINT32_MAX, runs = s->g->runs;

    (void)v;
    if (pg_stopped(s->g) &&
        (atomic_compare_exchange_strong(&s->runs, &before, runs) || before == runs))
        return 0;
    s->g->gate = 0; /* sleeping vCPUs find it so: nothing here waits for them */
    return xf_fail(err, EBUSY, "somebody let the guest run at its source");
}

static int state(struct xf_source_vm *vm, struct xf_state *s, struct xf_err *err)
{
    static const struct xf_tsc tsc = {.mode = 1, .khz = 2400000};
    uint8_t context[PG_STATE_BYTES] = {0};

    memcpy(context, of(vm)->g->vcpus, sizeof(of(vm)->g->vcpus));
    if (xf_state_add_tsc(s, &tsc, err))
        return -1;
    return xf_state_add_copy(s, XF_PART_HVM_CONTEXT, context, sizeof(context), err);
}

static const struct xf_source_ops ops = {
    .view_open = view_open,
    .view_close = pg_view_close,
    .classify = classify,
    .map = map,
    .unmap = pg_view_unmap,
    .log_start = log_start,
    .log_read = log_read,
    .log_stop = log_stop,
    .population = population,
    .target = target,
    .alive = alive,
    .suspend = suspend,
    .suspended = suspended,
    .resume = resume,
    .untouched = untouched,
    .state = state,
};

/* Enter all pages of the guest into this process's page tables; holes are left alone. A
 * hypervisor's guest is mapped in its own process already (QEMU). */
static int map_all(struct pg_guest *g)
{
    uint64_t n = g->truth->nr_gfns, end;

    for (uint64_t gfn = 0; gfn < n; gfn = end) {
        for (end = gfn; end < n && g->has[end]; end++)
            ;
        if (end > gfn && madvise(g->mem + gfn * PAGE, (end - gfn) * PAGE, MADV_POPULATE_READ))
            return -1;
        end += end < n;
    }
    return 0;
}

int pg_source_open(struct pg_source *s, struct pg_guest *g, uint64_t *rings, unsigned nr_rings,
                   struct xf_err *err)
{
    *s = (struct pg_source){
        .vm = {.ops = &ops, .nr_gfns = g->truth->nr_gfns, .rings = rings, .nr_rings = nr_rings},
        .g = g,
        .runs = UINT32_MAX,
        .uffd = -1,
        .pagemap = -1,
    };
    s->uffd = uffd_borrow(g->pid, g->uffd);
    s->pagemap = uffd_pagemap(g->pid);
    if (s->uffd < 0 || s->pagemap < 0 || map_all(g)) {
        xf_fail(err, errno, "cannot reach the guest's process: %s", strerror(errno));
        pg_source_close(s);
        return -1;
    }
    return 0;
}

void pg_source_close(struct pg_source *s)
{
    if (s->uffd >= 0)
        close(s->uffd);
    if (s->pagemap >= 0)
        close(s->pagemap);
    s->uffd = s->pagemap = -1;
}
