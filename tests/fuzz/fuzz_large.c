/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target for large pages at the destination. Input: steps of 4 bytes, each a set of
 * ranges, a run of a batch, or memory from elsewhere, as a source may send them in any order.
 * Beyond "no crash": Xen is never asked for a large page where there is memory or a ring, nor
 * twice, and the map of memory is what Xen has given.
 */
#include <string.h>

#include "precopy/large.h"
#include "tests/fuzz/target.h"

#define GFNS 5000u

enum { LARGE, LOST, SMALL };

static struct {
    bool has[GFNS];
    unsigned long present[GFNS / XF_WORD_BITS + 1], rings[GFNS / XF_WORD_BITS + 1];
    uint8_t refuse;
} fuzz;

static int fuzz_populate(struct xf_view *v, uint64_t first)
{
    (void)v;
    MUST(first % XF_LARGE_PAGES == 0 && first + XF_LARGE_PAGES <= GFNS);
    for (uint64_t g = first; g < first + XF_LARGE_PAGES; g++)
        MUST(!fuzz.has[g] && !xf_bit(fuzz.rings, g));
    if (fuzz.refuse++ % 5 == 4)
        return XF_AGAIN;
    memset(fuzz.has + first, 1, XF_LARGE_PAGES);
    return 0;
}

/* Extents and runs within GFNS, as the decoders let them through. */
static void fuzz_step(struct xf_large *l, const uint8_t s[4])
{
    static struct xf_extents set;
    static struct xf_batch batch;
    uint64_t gfn = ((uint64_t)s[1] << 8 | s[2]) % GFNS, count = 1 + s[3] * 8u;
    struct xf_err err = {0};

    if (count > GFNS - gfn)
        count = GFNS - gfn;
    set.nr = batch.nr_runs = 1;
    switch (s[0] % 5) {
    case 0:
        gfn -= gfn % XF_LARGE_PAGES;
        count -= count % XF_LARGE_PAGES;
        count = count ? count : XF_LARGE_PAGES;
        if (count > GFNS - gfn)
            return;
        /* fall through */
    case 1:
        set.list[0] = (struct xf_extent){gfn, count};
        MUST(!xf_large_add(l, &set, &err) ==
             (gfn % XF_LARGE_PAGES == 0 && count % XF_LARGE_PAGES == 0));
        return;
    case 2:
        batch.runs[0] = (struct xf_run){gfn, (uint32_t)count % XF_BATCH_PAGES + 1, s[0] / 5 % 3};
        if (batch.runs[0].count > GFNS - gfn)
            return;
        xf_large_touch(l, NULL, &batch);
        return;
    case 3:
        fuzz.has[gfn] = true;
        xf_set_atomic(fuzz.present, gfn);
        return;
    default:
        fuzz.has[gfn] = false;
        xf_unset_atomic(fuzz.present, gfn);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct xf_sink_ops ops = {.populate_large = fuzz_populate};
    struct xf_sink_vm vm = {.ops = &ops, .nr_gfns = GFNS};
    struct xf_large l = {0};

    memset(&fuzz, 0, sizeof(fuzz));
    xf_set(fuzz.rings, 3 * XF_LARGE_PAGES + 7);
    MUST(!xf_large_init(&l, &vm, fuzz.present, fuzz.rings));
    for (size_t i = 0; i + 4 <= size && i < 4096; i += 4)
        fuzz_step(&l, data + i);
    for (uint64_t g = 0; g < GFNS; g++)
        MUST(fuzz.has[g] == xf_bit(fuzz.present, g));
    if (l.pages)
        fuzz_reached(LARGE);
    if (l.pages && l.left)
        fuzz_reached(LOST);
    if (fuzz.refuse > 4)
        fuzz_reached(SMALL);
    xf_large_free(&l);
    return 0;
}

static size_t fuzz_seed(int n, uint8_t out[FUZZ_INPUT_MAX])
{
    /* All ranges are whole, and are touched one after the other. */
    static const uint8_t steps[][4] = {{0, 0, 0, 255},  {0, 8, 0, 255},  {2, 0, 5, 2},
                                       {2, 2, 5, 2},    {12, 4, 0, 255}, {2, 8, 0, 255},
                                       {2, 12, 0, 255}, {0, 16, 0, 255}};

    if (n >= 1)
        return 0;
    memcpy(out, steps, sizeof(steps));
    return sizeof(steps);
}

FUZZ_TARGET(fuzz_seed, "a large page", "some ranges are still whole", "no large page is left")
