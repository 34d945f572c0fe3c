/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A look at a guest, for a forecast: see survey.h. */
#include "precopy/survey.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pages/bitmap.h"
#include "pages/pack.h"
#include "pages/zero.h"
#include "precopy/sender.h"
#include "transport/clock.h"

#define FIRST_LOOK 0.05 /* seconds; each next one this part later, but at most MOST_APART */
#define APART 0.25
#define MOST_APART 0.4
#define TICK_S 0.05
/* Batches of the sample, and gfns that each asks for, of which some may be holes. Of each, up to
 * XF_PACK_PAGES pages are compressed. */
#define BATCHES 4
#define ASKED 512
/* Where COPY itself finds out whether compressing pays, so many pages go uncompressed first. */
#define PLAIN_PAGES 2048u

/* Let the time pass until then, ticking. */
static int wait_until(double when, struct xf_tick tick, struct xf_err *err)
{
    double left;

    while ((left = when - xf_now()) > 0) {
        double nap = left < TICK_S ? left : TICK_S;

        if (xf_tick(tick, err))
            return -1;
        nanosleep(&(struct timespec){.tv_nsec = (long)(nap * 1e9)}, NULL);
    }
    return xf_tick(tick, err);
}

static int look(struct xf_survey *s, struct xf_source_vm *vm, unsigned long *map, double seconds,
                struct xf_tick tick, struct xf_err *err)
{
    double on = xf_now(), next = FIRST_LOOK;

    for (;;) {
        double began;

        if (wait_until(on + (next < seconds ? next : seconds), tick, err))
            return -1;
        began = xf_now();
        if (vm->ops->log_read(vm, XF_LOG_PEEK, map, err))
            return -1;
        s->log_read_s = xf_now() - began;
        s->look_s = began - on;
        s->written = xf_bitmap_count(map, vm->nr_gfns);
        xf_growth_add(&s->growth, s->look_s, s->written);
        if (s->look_s >= seconds)
            return 0;
        next = s->look_s + (s->look_s * APART < MOST_APART ? s->look_s * APART : MOST_APART);
        if (next < s->look_s + FIRST_LOOK)
            next = s->look_s + FIRST_LOOK;
    }
}

int xf_survey_look(struct xf_survey *s, struct xf_source_vm *vm, double seconds,
                   struct xf_tick tick, struct xf_err *err)
{
    unsigned long *map;
    int rc;

    if (vm->ops->population(vm, &s->memory, err))
        return -1;
    map = xf_bitmap_new(vm->nr_gfns);
    if (!map)
        return xf_fail(err, ENOMEM, "out of memory for a bitmap of %llu pages",
                       (unsigned long long)vm->nr_gfns);
    xf_growth_clear(&s->growth);
    rc = vm->ops->log_start(vm, err);
    if (!rc) {
        rc = look(s, vm, map, seconds, tick, err);
        vm->ops->log_stop(vm);
    }
    free(map);
    return rc;
}

/* --- the sample --- */

struct sample {
    struct xf_source_vm *vm;
    struct xf_view *view;
    struct xf_packer *packer;
    uint64_t random, low;
    unsigned pages, zero, packed[XF_CODECS];
    double map_s, left[XF_CODECS], pack_s[XF_CODECS];
    uint64_t gfns[ASKED];
    uint8_t ram[ASKED];
    struct xf_map map;
    struct iovec iov[XF_PACK_PAGES];
};

static int by_gfn(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* Ascending gfns that have memory, spread at random; returns their number, or -1. */
static int choose(struct sample *x, struct xf_err *err)
{
    unsigned n = 0, k = 0;

    for (unsigned i = 0; i < ASKED; i++) {
        x->random = x->random * 6364136223846793005u + 1442695040888963407u;
        /* Every other one where most memory is: a device's pages may lie far above it. */
        x->gfns[i] = (x->random >> 11) % (i % 2 ? x->vm->nr_gfns : x->low);
    }
    qsort(x->gfns, ASKED, sizeof(x->gfns[0]), by_gfn);
    for (unsigned i = 0; i < ASKED; i++)
        if (!i || x->gfns[i] != x->gfns[i - 1])
            x->gfns[n++] = x->gfns[i];
    if (x->vm->ops->classify(x->view, x->gfns, n, x->ram, err))
        return -1;
    for (unsigned i = 0; i < n; i++)
        if (x->ram[i])
            x->gfns[k++] = x->gfns[i];
    return (int)k;
}

/* Compress a block of these pages with each codec. The guest may write to them meanwhile. */
static void pack(struct sample *x, unsigned codecs, unsigned pages)
{
    for (int c = XF_CODEC_LZ4; c < XF_CODECS; c++) {
        double began = xf_now();
        struct xf_pack k;
        uint32_t len = 0;
        uint8_t *out;

        if (!(codecs & XF_CODEC_BIT(c)))
            continue;
        if (!xf_pack(x->packer, (enum xf_codec)c, x->iov, (int)pages, false, pages, &k, &out, &len))
            len = pages * XF_PAGE_SIZE;
        x->pack_s[c] += xf_now() - began;
        x->left[c] += (double)len / XF_PAGE_SIZE;
        x->packed[c] += pages;
    }
}

static int one_batch(struct sample *x, unsigned codecs, struct xf_err *err)
{
    int n = choose(x, err), full = 0;
    double began = xf_now();

    if (n <= 0)
        return n;
    if (x->vm->ops->map(x->view, x->gfns, (unsigned)n, &x->map, err))
        return -1;
    for (int i = 0; i < n; i++) {
        if (x->map.err[i])
            continue;
        x->pages++;
        if (xf_page_is_zero(x->map.page[i]))
            x->zero++;
        else if (full < (int)XF_PACK_PAGES)
            x->iov[full++] = (struct iovec){x->map.page[i], XF_PAGE_SIZE};
    }
    x->map_s += xf_now() - began;
    if (full)
        pack(x, codecs, (unsigned)full);
    x->vm->ops->unmap(x->view, &x->map);
    return 0;
}

static void sum_up(const struct sample *x, struct xf_survey *s)
{
    s->sampled = x->pages;
    if (!x->pages)
        return;
    s->zero_part = (double)x->zero / x->pages;
    s->map_s = x->map_s / x->pages;
    for (int c = XF_CODEC_LZ4; c < XF_CODECS; c++)
        if (x->packed[c])
            s->cost[c] = (struct xf_pack_cost){.left = x->left[c] / x->packed[c],
                                               .pack_s = x->pack_s[c] / x->packed[c]};
}

int xf_survey_sample(struct xf_survey *s, struct xf_source_vm *vm, unsigned codecs,
                     struct xf_err *err)
{
    struct sample *x = calloc(1, sizeof(*x));
    int rc = -1;

    if (!x)
        return xf_fail(err, ENOMEM, "out of memory");
    x->vm = vm;
    x->random = xf_now_ns();
    x->low = s->memory && s->memory < vm->nr_gfns ? s->memory : vm->nr_gfns;
    if (!xf_packer_new(&x->packer, err) && !vm->ops->view_open(vm, &x->view, err)) {
        rc = 0;
        for (int i = 0; !rc && i < BATCHES; i++)
            rc = one_batch(x, codecs, err);
        vm->ops->view_close(x->view);
    }
    if (!rc)
        sum_up(x, s);
    xf_packer_free(x->packer);
    free(x);
    return rc;
}

struct xf_forecast xf_survey_forecast(const struct xf_survey *s, const struct xf_speed *link,
                                      const struct xf_survey_plan *plan)
{
    struct xf_forecast_in in = {
        .mode = plan->mode,
        .policy = plan->policy,
        .memory = s->memory,
        .zero_part = s->zero_part,
        .bandwidth = plan->bandwidth,
        .round_s = link->round_trip_s + 2 * s->log_read_s,
        .fixed_s = plan->suspend_s + 2 * link->round_trip_s + s->log_read_s,
        .ahead = (uint64_t)plan->threads * XF_SENDER_AHEAD * XF_BATCH_PAGES,
        .growth = s->growth,
    };
    double first = (double)(s->memory < PLAIN_PAGES ? s->memory : PLAIN_PAGES);
    double plain, plain_bytes = 0;
    struct xf_forecast f;

    if (s->map_s > 0)
        in.zero_rate = plan->threads / s->map_s;
    if (s->growth.n)
        in.page_rate = xf_forecast_rate(link->bytes_per_s, plan->compress, s->cost, plan->threads,
                                        s->map_s, &in.page_bytes);
    plain = xf_forecast_rate(link->bytes_per_s, XF_COMPRESS_OFF, s->cost, plan->threads, s->map_s,
                             &plain_bytes);
    if (in.page_rate > 0 && plan->compress == XF_COMPRESS_AUTO)
        in.begin_s = first * (1 / plain - 1 / in.page_rate);
    if (in.begin_s < 0)
        in.begin_s = 0;
    f = xf_forecast(&in);
    if (in.begin_s > 0)
        f.bytes += first * (plain_bytes - in.page_bytes);
    return f;
}
