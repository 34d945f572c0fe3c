/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest that is plain memory of this process: see fake_vm.h. */
#include "tests/unit/fake_vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pages/bitmap.h"

#define PAGE XF_PAGE_SIZE
#define GARBAGE 0xa5 /* what fresh memory at the sink holds */
#define RING 0x5c    /* what the sink's rings hold */
/* Gfns that "Xen" writes at the suspend, behind the dirty log's back. */
static const uint64_t xen_writes[] = {3, 4995};

struct xf_view {
    struct fake *f;
    struct fake_side *side;
    uint8_t *window; /* XF_BATCH_PAGES of address space */
};

static struct fake *of_src(struct xf_source_vm *vm)
{
    return (struct fake *)((char *)vm - offsetof(struct fake, src));
}

static struct fake *of_dst(struct xf_sink_vm *vm)
{
    return (struct fake *)((char *)vm - offsetof(struct fake, dst));
}

static int enter(struct fake *f, enum fake_op op, struct xf_err *err)
{
    unsigned nth = atomic_fetch_add(&f->calls[op], 1) + 1;

    if (f->hook)
        f->hook(f, op, nth);
    if (atomic_load(&f->fail[op]) == nth)
        return xf_fail(err, EIO, "fake operation %d failed as told", op);
    return 0;
}

/* With the lock held. */
static void broke(struct fake *f, const char *rule, uint64_t gfn)
{
    if (!f->broken++)
        snprintf(f->what, sizeof(f->what), "%s (gfn %llu)", rule, (unsigned long long)gfn);
}

/* --- memory, either side --- */

/* To map a page costs the sanitized programs more than all else that they do. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DIRECT 1
#endif
#endif
#ifndef DIRECT
#define DIRECT 0
#endif

static bool side_init(struct fake_side *s)
{
    size_t len = (size_t)FAKE_GFNS * PAGE;

    s->fd = DIRECT ? -1 : memfd_create("fake", MFD_CLOEXEC);
    s->has = calloc(1, FAKE_GFNS);
    s->ever = calloc(1, FAKE_GFNS);
    if (!s->has || !s->ever || (!DIRECT && (s->fd < 0 || ftruncate(s->fd, (off_t)len))))
        return false;
    s->mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
                  DIRECT ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, s->fd, 0);
    if (s->mem == MAP_FAILED)
        return false;
    if (DIRECT)
        madvise(s->mem, len, MADV_HUGEPAGE); /* if there are any: a fault each, not 512 */
    return true;
}

static void side_free(struct fake_side *s)
{
    if (s->mem && s->mem != MAP_FAILED)
        munmap(s->mem, (size_t)FAKE_GFNS * PAGE);
    if (s->fd >= 0)
        close(s->fd);
    free(s->has);
    free(s->ever);
}

static void give(struct fake_side *s, uint64_t gfn, int fill)
{
    s->has[gfn] = s->ever[gfn] = 1;
    s->pages++;
    memset(s->mem + gfn * PAGE, fill, PAGE);
}

static int open_view(struct fake *f, struct fake_side *side, struct xf_view **out,
                     struct xf_err *err)
{
    struct xf_view *v = calloc(1, sizeof(*v));

    if (!v)
        return xf_fail(err, ENOMEM, "out of memory");
    v->f = f;
    v->side = side;
    v->window = mmap(NULL, XF_BATCH_PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (v->window == MAP_FAILED) {
        free(v);
        return xf_fail(err, errno, "no address space");
    }
    pthread_mutex_lock(&f->lock);
    f->views++;
    pthread_mutex_unlock(&f->lock);
    *out = v;
    return 0;
}

static void view_close(struct xf_view *v)
{
    pthread_mutex_lock(&v->f->lock);
    v->f->views--;
    pthread_mutex_unlock(&v->f->lock);
    munmap(v->window, XF_BATCH_PAGES * PAGE);
    free(v);
}

/* Whoever touches a page that is not there dies by SIGSEGV, as with Xen. The sanitized programs see
 * the memory itself, so there nobody dies who keeps a page after unmap: the plain ones find that.
 */
static int map_pages(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_map *m,
                     int prot)
{
    m->base = v->window;
    m->n = n;
    for (unsigned i = 0, len; i < n; i += len) {
        len = 1;
        m->page[i] = v->window + (size_t)i * PAGE;
        m->err[i] = v->side->has[gfns[i]] ? 0 : ENOENT;
        if (m->err[i])
            continue;
        for (; i + len < n && gfns[i + len] == gfns[i] + len && v->side->has[gfns[i + len]];
             len++) {
            m->page[i + len] = v->window + (size_t)(i + len) * PAGE;
            m->err[i + len] = 0;
        }
        for (unsigned k = 0; DIRECT && k < len; k++)
            m->page[i + k] = v->side->mem + (gfns[i] + k) * PAGE;
        if (!DIRECT &&
            mmap(v->window + (size_t)i * PAGE, (size_t)len * PAGE, prot, MAP_SHARED | MAP_FIXED,
                 v->side->fd, (off_t)(gfns[i] * PAGE)) == MAP_FAILED)
            return -1;
    }
    return 0;
}

static void unmap(struct xf_view *v, struct xf_map *m)
{
    if (m->base != v->window)
        abort();
    if (!DIRECT && mmap(v->window, XF_BATCH_PAGES * PAGE, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        abort();
    m->base = NULL;
}

/* --- the source --- */

static int view_open(struct xf_source_vm *vm, struct xf_view **out, struct xf_err *err)
{
    struct fake *f = of_src(vm);

    return enter(f, FAKE_VIEW_OPEN, err) ? -1 : open_view(f, &f->at_source, out, err);
}

static int classify(struct xf_view *v, const uint64_t *gfns, unsigned n, uint8_t *ram,
                    struct xf_err *err)
{
    if (enter(v->f, FAKE_CLASSIFY, err))
        return -1;
    pthread_mutex_lock(&v->f->lock);
    for (unsigned i = 0; i < n; i++) {
        if (gfns[i] >= FAKE_GFNS || (i && gfns[i] <= gfns[i - 1]) || n > XF_BATCH_PAGES)
            broke(v->f, "a batch beyond its limits", gfns[i]);
        else
            ram[i] = v->side->has[gfns[i]];
    }
    pthread_mutex_unlock(&v->f->lock);
    return 0;
}

static int map(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_map *m,
               struct xf_err *err)
{
    int rc;

    if (enter(v->f, FAKE_MAP, err))
        return -1;
    pthread_mutex_lock(&v->f->lock);
    rc = map_pages(v, gfns, n, m, PROT_READ);
    pthread_mutex_unlock(&v->f->lock);
    return rc ? xf_fail(err, errno, "cannot map") : 0;
}

/* With the lock held: writes to what is there are caught from now on. */
static void log_all(struct fake *f)
{
    memcpy(f->logged, f->at_source.has, FAKE_GFNS);
    memset(f->dirty, 0, FAKE_GFNS);
}

static int log_start(struct xf_source_vm *vm, struct xf_err *err)
{
    struct fake *f = of_src(vm);

    if (enter(f, FAKE_LOG_START, err))
        return -1;
    pthread_mutex_lock(&f->lock);
    if (f->log_on)
        broke(f, "the dirty log was started twice", 0);
    f->log_on = true;
    log_all(f);
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static int log_read(struct xf_source_vm *vm, enum xf_log_read how, unsigned long *bitmap,
                    struct xf_err *err)
{
    static const enum fake_op ops[] = {FAKE_PEEK, FAKE_CLEAN, FAKE_LAST};
    struct fake *f = of_src(vm);

    if (enter(f, ops[how], err))
        return -1;
    pthread_mutex_lock(&f->lock);
    if (!f->log_on || (how == XF_LOG_LAST && f->running))
        broke(f, "the dirty log was read at the wrong time", 0);
    memset(bitmap, 0, xf_bitmap_words(FAKE_GFNS) * sizeof(*bitmap));
    for (uint64_t g = 0; g < FAKE_GFNS; g++)
        if (f->dirty[g])
            xf_set(bitmap, g);
    for (unsigned i = 0; how == XF_LOG_LAST && i < 2; i++)
        xf_set(bitmap, xen_writes[i]);
    if (how == XF_LOG_CLEAN)
        log_all(f);
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static void log_stop(struct xf_source_vm *vm)
{
    struct fake *f = of_src(vm);

    enter(f, FAKE_LOG_STOP, NULL);
    pthread_mutex_lock(&f->lock);
    f->log_on = false;
    pthread_mutex_unlock(&f->lock);
}

static int population(struct xf_source_vm *vm, uint64_t *pages, struct xf_err *err)
{
    struct fake *f = of_src(vm);

    if (enter(f, FAKE_POPULATION, err))
        return -1;
    pthread_mutex_lock(&f->lock);
    *pages = f->at_source.pages + 5; /* the hypervisor's own, never seen by classify */
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static int target(struct xf_source_vm *vm, uint64_t *kib, struct xf_err *err)
{
    struct fake *f = of_src(vm);

    if (enter(f, FAKE_TARGET, err))
        return -1;
    pthread_mutex_lock(&f->lock);
    *kib = f->target_kib;
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static int alive(struct xf_source_vm *vm, struct xf_err *err)
{
    struct fake *f = of_src(vm);
    bool ended;

    if (enter(f, FAKE_ALIVE, err))
        return -1;
    pthread_mutex_lock(&f->lock);
    if (!f->running)
        broke(f, "asked for a guest that is suspended", 0);
    ended = f->ended;
    pthread_mutex_unlock(&f->lock);
    return ended ? xf_fail(err, ESRCH, "the guest has crashed") : 0;
}

static int suspend(struct xf_source_vm *vm, struct xf_err *err)
{
    struct fake *f = of_src(vm);
    bool ended;

    /* As on Xen: it is looked at before it is asked. */
    pthread_mutex_lock(&f->lock);
    ended = f->ended;
    pthread_mutex_unlock(&f->lock);
    if (ended)
        return xf_fail(err, ESRCH, "the guest has crashed");
    if (enter(f, FAKE_SUSPEND, err))
        return -1;
    pthread_mutex_lock(&f->lock);
    if (!f->running)
        broke(f, "suspended twice", 0);
    f->running = false;
    for (unsigned i = 0; i < 2; i++)
        memset(f->at_source.mem + xen_writes[i] * PAGE, 0x77, PAGE);
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static bool suspended(struct xf_source_vm *vm)
{
    struct fake *f = of_src(vm);
    bool is;

    pthread_mutex_lock(&f->lock);
    is = !f->running && !f->runs_at_sink;
    pthread_mutex_unlock(&f->lock);
    return is;
}

static int resume(struct xf_source_vm *vm, struct xf_err *err)
{
    struct fake *f = of_src(vm);

    if (enter(f, FAKE_RESUME, err))
        return -1;
    pthread_mutex_lock(&f->lock);
    if (f->running || f->runs_at_sink)
        broke(f, "resumed while it runs", 0);
    f->running = true;
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static int untouched(struct xf_source_vm *vm, struct xf_view *v, struct xf_err *err)
{
    struct fake *f = of_src(vm);
    bool runs;

    (void)v;
    pthread_mutex_lock(&f->lock);
    runs = f->running;
    pthread_mutex_unlock(&f->lock);
    return runs ? xf_fail(err, EBUSY, "the fake guest runs at its source") : 0;
}

static int state(struct xf_source_vm *vm, struct xf_state *s, struct xf_err *err)
{
    static const struct xf_tsc tsc = {.mode = 1, .khz = 2400000, .nsec = 17, .incarnation = 2};
    static const struct xf_param param = {.index = 12, .value = 34};
    uint8_t context[FAKE_STATE_BYTES];

    if (enter(of_src(vm), FAKE_STATE, err))
        return -1;
    memset(context, 0x3e, sizeof(context));
    if (xf_state_add_tsc(s, &tsc, err) ||
        xf_state_add_copy(s, XF_PART_HVM_CONTEXT, context, sizeof(context), err))
        return -1;
    return xf_state_add_params(s, &param, 1, err);
}

static const struct xf_source_ops source_ops = {
    .view_open = view_open,
    .view_close = view_close,
    .classify = classify,
    .map = map,
    .unmap = unmap,
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

/* --- the sink --- */

static int sink_view(struct xf_sink_vm *vm, struct xf_view **out, struct xf_err *err)
{
    struct fake *f = of_dst(vm);

    return enter(f, FAKE_SINK_VIEW, err) ? -1 : open_view(f, &f->at_sink, out, err);
}

static int populate(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_err *err)
{
    int rc = 0;

    if (enter(v->f, FAKE_POPULATE, err))
        return -1;
    pthread_mutex_lock(&v->f->lock);
    for (unsigned i = 0; i < n && !rc; i++) {
        if (v->side->has[gfns[i]])
            broke(v->f, "populated twice", gfns[i]);
        else if (v->side->pages >= v->f->limit)
            rc = xf_fail(err, ENOMEM, "no more memory for the guest");
        else
            give(v->side, gfns[i], GARBAGE);
    }
    pthread_mutex_unlock(&v->f->lock);
    return rc;
}

static int populate_large(struct xf_view *v, uint64_t first)
{
    int rc = 0;

    pthread_mutex_lock(&v->f->lock);
    if (v->side->pages + XF_LARGE_PAGES > v->f->limit)
        rc = XF_AGAIN;
    for (uint64_t gfn = first; !rc && gfn < first + XF_LARGE_PAGES; gfn++) {
        if (v->side->has[gfn])
            broke(v->f, "populated twice", gfn);
        give(v->side, gfn, GARBAGE);
    }
    pthread_mutex_unlock(&v->f->lock);
    return rc;
}

static int depopulate(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_err *err)
{
    if (enter(v->f, FAKE_DEPOPULATE, err))
        return -1;
    pthread_mutex_lock(&v->f->lock);
    for (unsigned i = 0; i < n; i++) {
        if (!v->side->has[gfns[i]])
            broke(v->f, "took away what was not there", gfns[i]);
        v->side->has[gfns[i]] = 0;
        v->side->pages--;
    }
    pthread_mutex_unlock(&v->f->lock);
    return 0;
}

static int sink_map(struct xf_view *v, const uint64_t *gfns, unsigned n, bool fill,
                    struct xf_map *m, struct xf_err *err)
{
    int rc;

    (void)fill;
    if (enter(v->f, FAKE_SINK_MAP, err))
        return -1;
    pthread_mutex_lock(&v->f->lock);
    rc = map_pages(v, gfns, n, m, PROT_READ | PROT_WRITE);
    for (unsigned i = 0; i < n; i++)
        if (m->err[i])
            broke(v->f, "mapped what was not there", gfns[i]);
    pthread_mutex_unlock(&v->f->lock);
    return rc ? xf_fail(err, errno, "cannot map") : 0;
}

static int set_target(struct xf_sink_vm *vm, uint64_t kib, struct xf_err *err)
{
    struct fake *f = of_dst(vm);

    if (enter(f, FAKE_SET_TARGET, err))
        return -1;
    pthread_mutex_lock(&f->lock);
    f->sink_target_kib = kib;
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static bool is_fake_state(const struct xf_state *s)
{
    struct xf_param params[XF_PARAMS_MAX];
    struct xf_tsc tsc;
    const void *context;
    const uint8_t *b;
    uint32_t len, n;

    if (xf_state_tsc(s, &tsc, NULL) || xf_state_context(s, &context, &len, NULL) ||
        xf_state_params(s, params, &n, NULL))
        return false;
    b = context;
    return len == FAKE_STATE_BYTES && b[0] == 0x3e && !memcmp(b, b + 1, len - 1) &&
           tsc.khz == 2400000 && n == 1 && params[0].value == 34;
}

static int load_state(struct xf_sink_vm *vm, const struct xf_state *s, struct xf_err *err)
{
    struct fake *f = of_dst(vm);

    if (enter(f, FAKE_LOAD_STATE, err))
        return -1;
    pthread_mutex_lock(&f->lock);
    if (!is_fake_state(s))
        broke(f, "another state than was sent", 0);
    f->loaded = true;
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static int load_devices(struct xf_sink_vm *vm, const struct xf_state *s, struct xf_err *err)
{
    struct fake *f = of_dst(vm);
    char why[100];

    if (enter(f, FAKE_LOAD_DEVICES, err))
        return -1;
    pthread_mutex_lock(&f->lock);
    if (!f->loaded || !is_fake_state(s))
        broke(f, "devices were loaded before the state", 0);
    if (!fake_same(f, why, sizeof(why)))
        broke(f, "devices were loaded before the last page", 0);
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static int run(struct xf_sink_vm *vm, struct xf_err *err)
{
    struct fake *f = of_dst(vm);

    if (enter(f, FAKE_RUN, err))
        return -1;
    pthread_mutex_lock(&f->lock);
    if (f->running || f->runs_at_sink || !f->loaded)
        broke(f, "ran at the sink when it must not", 0);
    f->runs_at_sink = true;
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static const struct xf_sink_ops sink_ops = {
    .view_open = sink_view,
    .view_close = view_close,
    .populate = populate,
    .populate_large = populate_large,
    .depopulate = depopulate,
    .map = sink_map,
    .unmap = unmap,
    .set_target = set_target,
    .load_state = load_state,
    .run = run,
};

static const struct xf_sink_ops emulating = {
    .view_open = sink_view,
    .view_close = view_close,
    .populate = populate,
    .populate_large = populate_large,
    .depopulate = depopulate,
    .map = sink_map,
    .unmap = unmap,
    .set_target = set_target,
    .load_state = load_state,
    .load_devices = load_devices,
    .run = run,
};

void fake_emulate(struct fake *f)
{
    f->dst.ops = &emulating;
}

/* --- the guest itself --- */

static void scribble(struct fake *f, uint64_t gfn, uint32_t seed)
{
    uint32_t *p = (uint32_t *)(f->at_source.mem + gfn * PAGE);

    for (unsigned i = 0; i < PAGE / 4; i++)
        p[i] = seed ? seed * 2654435761u + i * 40503u : 0;
}

void fake_write(struct fake *f, uint64_t gfn, uint32_t seed)
{
    pthread_mutex_lock(&f->lock);
    if (f->running && f->at_source.has[gfn]) {
        if (f->log_on && f->logged[gfn])
            f->dirty[gfn] = 1;
        scribble(f, gfn, seed);
    }
    pthread_mutex_unlock(&f->lock);
}

void fake_balloon_out(struct fake *f, uint64_t gfn)
{
    pthread_mutex_lock(&f->lock);
    if (f->running && f->at_source.has[gfn]) {
        f->at_source.has[gfn] = f->logged[gfn] = 0;
        f->at_source.pages--;
    }
    pthread_mutex_unlock(&f->lock);
}

void fake_balloon_in(struct fake *f, uint64_t gfn, uint32_t seed)
{
    pthread_mutex_lock(&f->lock);
    if (f->running && !f->at_source.has[gfn]) {
        give(&f->at_source, gfn, 0);
        scribble(f, gfn, seed);
    }
    pthread_mutex_unlock(&f->lock);
}

void fake_fail_next(struct fake *f, enum fake_op op)
{
    atomic_store(&f->fail[op], atomic_load(&f->calls[op]) + 1);
}

void fake_put(struct fake *f, uint64_t gfn, const uint8_t *page)
{
    uint8_t *to = f->at_sink.mem + gfn * XF_PAGE_SIZE;

    if (page)
        memcpy(to, page, XF_PAGE_SIZE);
    else
        memset(to, 0, XF_PAGE_SIZE);
}

bool fake_same(struct fake *f, char *why, size_t len)
{
    static const uint8_t ring[PAGE] = {[0 ... PAGE - 1] = RING};
    struct fake_side *a = &f->at_source, *b = &f->at_sink;

    for (uint64_t g = 0; g < FAKE_GFNS; g++) {
        const uint8_t *page = b->mem + g * PAGE;
        bool is_ring = g == f->rings[0] || g == f->rings[1];
        const char *wrong = NULL;

        if (is_ring)
            wrong = !b->has[g] || memcmp(page, ring, PAGE) ? "a ring was touched" : NULL;
        else if (b->ever[g] && !a->ever[g])
            wrong = "a hole was populated";
        else if (a->has[g] != b->has[g])
            wrong = a->has[g] ? "a page is missing" : "a page is too many";
        else if (a->has[g] && memcmp(a->mem + g * PAGE, page, PAGE))
            wrong = page[0] == GARBAGE ? "a page is garbage" : "a page differs";
        if (wrong) {
            snprintf(why, len, "gfn %llu: %s", (unsigned long long)g, wrong);
            return false;
        }
    }
    return true;
}

static bool is_hole(uint64_t g)
{
    return (g >= FAKE_HOLE1 && g < FAKE_HOLE1 + 100) ||
           (g >= FAKE_HOLE2 && g < FAKE_HOLE2 + FAKE_HOLE2_LEN) ||
           (g >= FAKE_SPARE && g < FAKE_SPARE + 100);
}

struct fake *fake_new(void)
{
    struct fake *f = calloc(1, sizeof(*f));

    if (!f)
        abort();
    pthread_mutex_init(&f->lock, NULL);
    f->dirty = calloc(1, FAKE_GFNS);
    f->logged = calloc(1, FAKE_GFNS);
    if (!side_init(&f->at_source) || !side_init(&f->at_sink) || !f->dirty || !f->logged)
        abort();
    f->running = true;
    f->limit = FAKE_GFNS;
    f->target_kib = f->sink_target_kib = 16384;
    for (uint64_t g = 0; g < FAKE_GFNS; g++) {
        if (is_hole(g))
            continue;
        give(&f->at_source, g, 0);
        if (g % 7)
            scribble(f, g, (uint32_t)g + 1);
    }
    for (unsigned i = 0; i < 3; i++) {
        f->built[i] = FAKE_RING + i;
        give(&f->at_sink, FAKE_RING + i, RING);
    }
    f->rings[0] = f->built[0];
    f->rings[1] = f->built[1];
    f->src = (struct xf_source_vm){
        .ops = &source_ops, .nr_gfns = FAKE_GFNS, .rings = f->rings, .nr_rings = 2};
    f->dst = (struct xf_sink_vm){.ops = &sink_ops,
                                 .nr_gfns = FAKE_GFNS,
                                 .built = f->built,
                                 .nr_built = 3,
                                 .rings = f->rings,
                                 .nr_rings = 2};
    return f;
}

void fake_free(struct fake *f)
{
    side_free(&f->at_source);
    side_free(&f->at_sink);
    free(f->dirty);
    free(f->logged);
    pthread_mutex_destroy(&f->lock);
    free(f);
}
