/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A process guest at the sink: see sink.h. */
#include "tests/procguest/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/procguest/source.h"
#include "tests/procguest/view.h"

#define PAGE XF_PAGE_SIZE
#define GARBAGE 0xa5

static struct pg_sink *of(struct xf_sink_vm *vm)
{
    return (struct pg_sink *)vm;
}

static int view_open(struct xf_sink_vm *vm, struct xf_view **out, struct xf_err *err)
{
    return pg_view_open(of(vm)->g, vm, out, err);
}

static int populate(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_err *err)
{
    struct pg_sink *s = v->owner;

    for (unsigned i = 0; i < n; i++) {
        if (v->g->has[gfns[i]])
            return xf_fail(err, EEXIST, "gfn 0x%llx was populated twice",
                           (unsigned long long)gfns[i]);
        v->g->has[gfns[i]] = 1;
        v->g->pages++;
        if (s->garbage) /* not as a file, which would give it a large page */
            memset(v->g->mem + gfns[i] * PAGE, GARBAGE, PAGE);
    }
    return 0;
}

/* All its memory is like that: see memory.h. */
static int populate_large(struct xf_view *v, uint64_t first)
{
    for (uint64_t gfn = first; gfn < first + XF_LARGE_PAGES; gfn++) {
        v->g->has[gfn] = 1;
        v->g->pages++;
        if (((struct pg_sink *)v->owner)->garbage)
            memset(v->g->mem + gfn * PAGE, GARBAGE, PAGE);
    }
    return 0;
}

/* Discard the pages' memory; the next access gets zeros, or faults. */
int pg_punch(struct pg_guest *g, const uint64_t *gfns, unsigned n, struct xf_err *err)
{
    for (unsigned i = 0, len; i < n; i += len) {
        len = pg_run_length(gfns, i, n);
        if (fallocate(g->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(gfns[i] * PAGE),
                      (off_t)len * PAGE))
            return xf_fail(err, errno, "cannot take pages back: %s", strerror(errno));
    }
    return 0;
}

static int depopulate(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_err *err)
{
    for (unsigned i = 0; i < n; i++) {
        if (!v->g->has[gfns[i]])
            return xf_fail(err, ENOENT, "gfn 0x%llx was taken away twice",
                           (unsigned long long)gfns[i]);
        v->g->has[gfns[i]] = 0;
        v->g->late[gfns[i]] = 0;
        v->g->pages--;
    }
    return pg_punch(v->g, gfns, n, err);
}

static int map(struct xf_view *v, const uint64_t *gfns, unsigned n, bool fill, struct xf_map *m,
               struct xf_err *err)
{
    const struct pg_sink *s = v->owner;

    for (unsigned i = 0; i < n; i++)
        if (!v->g->has[gfns[i]] || v->g->late[gfns[i]])
            return xf_fail(err, EFAULT, "gfn 0x%llx was mapped while it was not there",
                           (unsigned long long)gfns[i]);
    if (!fill || s->direct) {
        pg_view_map(v, gfns, n, m);
        return 0;
    }
    if (!v->filling)
        v->filling = malloc(sizeof(*v->filling));
    if (!v->filling)
        return xf_fail(err, ENOMEM, "out of memory");
    pg_fill_begin(v->filling, gfns, n, m);
    return 0;
}

static void unmap(struct xf_view *v, struct xf_map *m)
{
    const struct pg_sink *s = v->owner;

    if (v->filling && m->base == v->filling->pages)
        pg_fill_end(&s->fill, v->filling, m->n);
    pg_view_unmap(v, m);
}

static void view_close(struct xf_view *v)
{
    free(v->filling);
    pg_view_close(v);
}

static int set_target(struct xf_sink_vm *vm, uint64_t kib, struct xf_err *err)
{
    (void)vm;
    (void)kib;
    (void)err;
    return 0;
}

static int load_state(struct xf_sink_vm *vm, const struct xf_state *s, struct xf_err *err)
{
    struct pg_guest *g = of(vm)->g;
    const void *context;
    struct xf_tsc tsc;
    uint32_t len;

    if (xf_state_tsc(s, &tsc, err) || xf_state_context(s, &context, &len, err))
        return -1;
    if (len != PG_STATE_BYTES || tsc.khz != 2400000)
        return xf_fail(err, EINVAL, "this is no process guest's state");
    memcpy(g->vcpus, context, sizeof(g->vcpus));
    of(vm)->loaded = true;
    return 0;
}

static int run(struct xf_sink_vm *vm, struct xf_err *err)
{
    if (!of(vm)->loaded)
        return xf_fail(err, EINVAL, "told to run without a state");
    pg_run(of(vm)->g);
    return 0;
}

static const struct xf_sink_ops ops = {
    .view_open = view_open,
    .view_close = view_close,
    .populate = populate,
    .populate_large = populate_large,
    .depopulate = depopulate,
    .map = map,
    .unmap = unmap,
    .set_target = set_target,
    .load_state = load_state,
    .run = run,
};

int pg_sink_open(struct pg_sink *s, struct pg_guest *g, bool paging, struct xf_err *err)
{
    *s = (struct pg_sink){.vm = {.ops = &ops, .nr_gfns = g->truth->nr_gfns},
                          .g = g,
                          .direct = g->large && !paging,
                          .uffd = -1,
                          .pidfd = -1,
                          .again = -1,
                          .epoll = -1};
    pthread_mutex_init(&s->lock, NULL);
    if (pg_fill_open(&s->fill, g, err))
        return -1;
    if (!paging)
        return 0;
    if (g->large && madvise(g->mem, s->vm.nr_gfns * PAGE, MADV_NOHUGEPAGE))
        return xf_fail(err, errno, "cannot have small pages: %s", strerror(errno));
    s->vm.pager = &pg_pager_ops;
    return pg_pager_ops.enable(&s->vm, err);
}

int pg_sink_resident(struct pg_sink *s, struct xf_err *err)
{
    if (madvise(s->g->mem, s->g->truth->nr_gfns * PAGE, MADV_POPULATE_WRITE))
        return xf_fail(err, errno, "cannot have all memory at once: %s", strerror(errno));
    s->direct = true;
    return 0;
}

void pg_sink_close(struct pg_sink *s)
{
    int *fds[] = {&s->uffd, &s->pidfd, &s->again, &s->epoll};

    for (unsigned i = 0; i < 4; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
    pg_fill_close(&s->fill);
    free(s->found);
    s->found = NULL;
    s->nr_found = s->max_found = 0;
    pthread_mutex_destroy(&s->lock);
}
