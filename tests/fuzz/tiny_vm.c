/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest of a few pages: see tiny_vm.h. */
#include "tests/fuzz/tiny_vm.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "pages/bitmap.h"
#include "tests/fuzz/must.h"

#define FAULTS 3u /* absent pages that the guest touches by itself, the lowest */

struct xf_view {
    struct tiny *t;
    bool mapped;
};

static struct tiny *of_src(struct xf_source_vm *vm)
{
    return (struct tiny *)((char *)vm - offsetof(struct tiny, src));
}

static struct tiny *of_dst(struct xf_sink_vm *vm)
{
    return (struct tiny *)((char *)vm - offsetof(struct tiny, dst));
}

/* --- either side --- */

static void enter(struct tiny *t)
{
    pthread_mutex_lock(&t->lock);
}

static int leave(struct tiny *t)
{
    pthread_mutex_unlock(&t->lock);
    return 0;
}

static int view_open(struct tiny *t, struct xf_view **out)
{
    struct xf_view *v = calloc(1, sizeof(*v));

    MUST(v);
    v->t = t;
    enter(t);
    t->views++;
    *out = v;
    return leave(t);
}

static void view_close(struct xf_view *v)
{
    enter(v->t);
    MUST(!v->mapped && v->t->views);
    v->t->views--;
    leave(v->t);
    free(v);
}

static bool is_ring(const struct tiny *t, uint64_t gfn)
{
    return gfn == t->rings[0] || gfn == t->rings[1];
}

/* With the lock: a batch within the contract's bounds. */
static void check_gfns(const struct tiny *t, const uint64_t *gfns, unsigned n)
{
    MUST(n && n <= XF_BATCH_PAGES);
    for (unsigned i = 0; i < n; i++)
        MUST(gfns[i] < TINY_GFNS && !is_ring(t, gfns[i]));
}

static void unmap(struct xf_view *v, struct xf_map *m)
{
    MUST(v->mapped && m->base);
    v->mapped = false;
    m->base = NULL;
}

/* --- the source --- */

static int source_view(struct xf_source_vm *vm, struct xf_view **out, struct xf_err *err)
{
    (void)err;
    return view_open(of_src(vm), out);
}

static int classify(struct xf_view *v, const uint64_t *gfns, unsigned n, uint8_t *ram,
                    struct xf_err *err)
{
    (void)err;
    enter(v->t);
    MUST(n && n <= XF_BATCH_PAGES);
    for (unsigned i = 0; i < n; i++) {
        MUST(gfns[i] < TINY_GFNS);
        ram[i] = v->t->has[gfns[i]];
    }
    return leave(v->t);
}

static int source_map(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_map *m,
                      struct xf_err *err)
{
    (void)err;
    enter(v->t);
    MUST(!v->mapped);
    check_gfns(v->t, gfns, n);
    v->mapped = true;
    m->base = v->t->mem[0];
    m->n = n;
    for (unsigned i = 0; i < n; i++) {
        m->page[i] = v->t->mem[gfns[i]];
        m->err[i] = v->t->has[gfns[i]] ? 0 : ENOENT;
    }
    return leave(v->t);
}

static int log_start(struct xf_source_vm *vm, struct xf_err *err)
{
    (void)err;
    enter(of_src(vm));
    MUST(!of_src(vm)->log_on);
    of_src(vm)->log_on = true;
    return leave(of_src(vm));
}

/* The guest writes to the same few pages all the time. */
static int log_read(struct xf_source_vm *vm, enum xf_log_read how, unsigned long *bitmap,
                    struct xf_err *err)
{
    struct tiny *t = of_src(vm);

    (void)err;
    enter(t);
    MUST(t->log_on && (how != XF_LOG_LAST) == t->running);
    memset(bitmap, 0, xf_bitmap_words(TINY_GFNS) * sizeof(*bitmap));
    for (uint64_t g = 10; g < 20; g++)
        xf_set(bitmap, g);
    return leave(t);
}

static void log_stop(struct xf_source_vm *vm)
{
    enter(of_src(vm));
    of_src(vm)->log_on = false;
    leave(of_src(vm));
}

static int population(struct xf_source_vm *vm, uint64_t *pages, struct xf_err *err)
{
    (void)vm, (void)err;
    *pages = TINY_GFNS;
    return 0;
}

static int target(struct xf_source_vm *vm, uint64_t *kib, struct xf_err *err)
{
    (void)err;
    *kib = 4 * TINY_GFNS + (of_src(vm)->targets++ > 0); /* somebody changes it once */
    return 0;
}

static int suspend(struct xf_source_vm *vm, struct xf_err *err)
{
    struct tiny *t = of_src(vm);

    (void)err;
    enter(t);
    MUST(t->running);
    t->running = false;
    t->suspends++;
    return leave(t);
}

static bool suspended(struct xf_source_vm *vm)
{
    bool is;

    enter(of_src(vm));
    is = !of_src(vm)->running;
    leave(of_src(vm));
    return is;
}

static int untouched(struct xf_source_vm *vm, struct xf_view *v, struct xf_err *err)
{
    (void)v, (void)err;
    MUST(suspended(vm));
    return 0;
}

static int resume(struct xf_source_vm *vm, struct xf_err *err)
{
    struct tiny *t = of_src(vm);

    (void)err;
    enter(t);
    MUST(!t->running && !t->given_away);
    t->running = true;
    t->resumes++;
    return leave(t);
}

static int state(struct xf_source_vm *vm, struct xf_state *s, struct xf_err *err)
{
    static const struct xf_tsc tsc = {.mode = 1, .khz = 2400000};
    static const uint8_t context[100];

    MUST(!of_src(vm)->running);
    MUST(!xf_state_add_tsc(s, &tsc, err));
    MUST(!xf_state_add_copy(s, XF_PART_HVM_CONTEXT, context, sizeof(context), err));
    return 0;
}

static const struct xf_source_ops source_ops = {
    .view_open = source_view,
    .view_close = view_close,
    .classify = classify,
    .map = source_map,
    .unmap = unmap,
    .log_start = log_start,
    .log_read = log_read,
    .log_stop = log_stop,
    .population = population,
    .target = target,
    .suspend = suspend,
    .suspended = suspended,
    .untouched = untouched,
    .resume = resume,
    .state = state,
};

/* --- the sink --- */

static int sink_view(struct xf_sink_vm *vm, struct xf_view **out, struct xf_err *err)
{
    (void)err;
    return view_open(of_dst(vm), out);
}

static int populate(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_err *err)
{
    struct tiny *t = v->t;

    (void)err;
    enter(t);
    check_gfns(t, gfns, n);
    for (unsigned i = 0; i < n; i++) {
        MUST(!t->has[gfns[i]]);
        t->has[gfns[i]] = true;
        memset(t->mem[gfns[i]], 0xa5, XF_PAGE_SIZE);
    }
    return leave(t);
}

static int depopulate(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_err *err)
{
    struct tiny *t = v->t;

    (void)err;
    enter(t);
    check_gfns(t, gfns, n);
    for (unsigned i = 0; i < n; i++) {
        MUST(t->has[gfns[i]] && !t->absent[gfns[i]]);
        t->has[gfns[i]] = false;
    }
    return leave(t);
}

static int sink_map(struct xf_view *v, const uint64_t *gfns, unsigned n, bool fill,
                    struct xf_map *m, struct xf_err *err)
{
    struct tiny *t = v->t;

    (void)fill, (void)err;
    enter(t);
    MUST(!v->mapped);
    check_gfns(t, gfns, n);
    v->mapped = true;
    m->base = t->mem[0];
    m->n = n;
    for (unsigned i = 0; i < n; i++) {
        MUST(t->has[gfns[i]] && !t->absent[gfns[i]]);
        m->page[i] = t->mem[gfns[i]];
        m->err[i] = 0;
    }
    return leave(t);
}

static int set_target(struct xf_sink_vm *vm, uint64_t kib, struct xf_err *err)
{
    (void)vm, (void)kib, (void)err;
    return 0;
}

static int load_state(struct xf_sink_vm *vm, const struct xf_state *s, struct xf_err *err)
{
    (void)err;
    MUST(s->nr <= XF_PARTS_MAX);
    for (unsigned i = 0; i < s->nr; i++) {
        MUST(s->list[i].data && s->list[i].len && s->list[i].len <= XF_PAYLOAD_MAX);
        MUST(!i || s->list[i].kind > s->list[i - 1].kind);
    }
    enter(of_dst(vm));
    MUST(!of_dst(vm)->loaded && !of_dst(vm)->ran);
    of_dst(vm)->loaded = true;
    return leave(of_dst(vm));
}

static int run(struct xf_sink_vm *vm, struct xf_err *err)
{
    struct tiny *t = of_dst(vm);

    (void)err;
    enter(t);
    MUST(t->loaded && !t->ran);
    t->ran = true;
    return leave(t);
}

static const struct xf_sink_ops sink_ops = {
    .view_open = sink_view,
    .view_close = view_close,
    .populate = populate,
    .depopulate = depopulate,
    .map = sink_map,
    .unmap = unmap,
    .set_target = set_target,
    .load_state = load_state,
    .run = run,
};

/* --- absent pages --- */

static int pager_enable(struct xf_sink_vm *vm, struct xf_err *err)
{
    (void)vm, (void)err;
    return 0;
}

/* Every 16th page the hypervisor holds. */
static int mark(struct xf_view *v, const uint64_t *gfns, unsigned n, uint8_t *refused,
                struct xf_err *err)
{
    struct tiny *t = v->t;

    (void)err;
    enter(t);
    check_gfns(t, gfns, n);
    for (unsigned i = 0; i < n; i++) {
        MUST(!t->ran && t->has[gfns[i]] && !t->absent[gfns[i]]);
        refused[i] = gfns[i] % 16 == 15;
        if (refused[i])
            continue;
        t->absent[gfns[i]] = true;
        t->nr_absent++;
    }
    return leave(t);
}

static int claim(struct xf_sink_vm *vm, uint64_t pages, struct xf_err *err)
{
    (void)err;
    enter(of_dst(vm));
    MUST(pages == of_dst(vm)->nr_absent);
    return leave(of_dst(vm));
}

static int fault_fd(struct xf_sink_vm *vm)
{
    return of_dst(vm)->fault_fd;
}

/* The lowest absent pages, once each, when it runs. */
static int read_faults(struct xf_sink_vm *vm, struct xf_fault *list, unsigned max,
                       struct xf_err *err)
{
    struct tiny *t = of_dst(vm);
    int n = 0;

    (void)err;
    enter(t);
    if (t->ran)
        for (uint64_t g = 0; g < TINY_GFNS && n < (int)max && t->faults < FAULTS; g++)
            if (t->absent[g]) {
                list[n++] = (struct xf_fault){.gfn = g};
                t->faults++;
            }
    leave(t);
    return n;
}

static int put(struct xf_view *v, const uint64_t *gfns, const uint8_t *const *pages, unsigned n,
               struct xf_err *err)
{
    struct tiny *t = v->t;

    (void)err;
    enter(t);
    check_gfns(t, gfns, n);
    for (unsigned i = 0; i < n; i++) {
        if (!t->absent[gfns[i]])
            continue;
        t->absent[gfns[i]] = false;
        t->nr_absent--;
        if (pages[i])
            memcpy(t->mem[gfns[i]], pages[i], XF_PAGE_SIZE);
        else
            memset(t->mem[gfns[i]], 0, XF_PAGE_SIZE);
    }
    return leave(t);
}

static int pager_disable(struct xf_sink_vm *vm, struct xf_err *err)
{
    (void)vm, (void)err;
    return 0;
}

static const struct xf_pager_ops pager_ops = {
    .enable = pager_enable,
    .mark = mark,
    .claim = claim,
    .fault_fd = fault_fd,
    .read_faults = read_faults,
    .put = put,
    .disable = pager_disable,
};

/* --- their life --- */

static void begin(struct tiny *t)
{
    memset(t, 0, sizeof(*t));
    pthread_mutex_init(&t->lock, NULL);
    t->rings[0] = t->built[0] = TINY_RING;
    t->rings[1] = t->built[1] = TINY_RING + 1;
    t->built[2] = TINY_BUILT;
    t->fault_fd = -1;
}

void tiny_source(struct tiny *t)
{
    begin(t);
    t->running = true;
    for (uint64_t g = 0; g < TINY_GFNS; g++) {
        t->has[g] = g < TINY_HOLE || g >= TINY_HOLE + 8;
        t->mem[g][0] = g % 3 ? (uint8_t)g : 0; /* some are zero */
    }
    t->src = (struct xf_source_vm){
        .ops = &source_ops, .nr_gfns = TINY_GFNS, .rings = t->rings, .nr_rings = 2};
}

void tiny_sink(struct tiny *t)
{
    begin(t);
    for (unsigned i = 0; i < 3; i++)
        t->has[t->built[i]] = true;
    t->fault_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    MUST(t->fault_fd >= 0);
    t->dst = (struct xf_sink_vm){.ops = &sink_ops,
                                 .pager = &pager_ops,
                                 .nr_gfns = TINY_GFNS,
                                 .built = t->built,
                                 .nr_built = 3,
                                 .rings = t->rings,
                                 .nr_rings = 2};
    MUST(!xf_absent_init(&t->missing, &t->dst, NULL));
    t->dst.absent = &t->missing;
}

void tiny_end(struct tiny *t)
{
    MUST(!t->views && !t->log_on);
    if (t->dst.ops) {
        MUST(t->missing.nr == t->nr_absent);
        for (uint64_t g = 0; g < TINY_GFNS; g++)
            MUST(xf_is_absent(&t->missing, g) == t->absent[g]);
        xf_absent_free(&t->missing);
    }
    if (t->fault_fd >= 0)
        close(t->fault_fd);
    pthread_mutex_destroy(&t->lock);
}
