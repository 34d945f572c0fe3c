/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What decides within and between rounds, each by itself: bitmaps, the policy, the order
 * of pages, the zero test, and the look at which gfns have memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "precopy/order.h"
#include "precopy/policy.h"
#include "precopy/presence.h"
#include "precopy/zero.h"
#include "tests/unit/fake_vm.h"
#include "tests/unit/suite.h"

/* --- bitmaps --- */

static void test_bitmap(void)
{
    unsigned long *b = xf_bitmap_new(130);

    CU_ASSERT_EQUAL(xf_bitmap_words(0), 0);
    CU_ASSERT_EQUAL(xf_bitmap_words(64), 1);
    CU_ASSERT_EQUAL(xf_bitmap_words(65), 2);
    CU_ASSERT_EQUAL(xf_bitmap_next(b, 0, 130), 130);
    xf_set(b, 0);
    xf_set(b, 63);
    xf_set(b, 64);
    CU_ASSERT_FALSE(xf_set_atomic(b, 129));
    CU_ASSERT_TRUE(xf_set_atomic(b, 129));
    CU_ASSERT(xf_bit(b, 63) && !xf_bit(b, 62));
    CU_ASSERT_EQUAL(xf_bitmap_count(b, 130), 4);
    CU_ASSERT_EQUAL(xf_bitmap_next(b, 0, 130), 0);
    CU_ASSERT_EQUAL(xf_bitmap_next(b, 1, 130), 63);
    CU_ASSERT_EQUAL(xf_bitmap_next(b, 65, 130), 129);
    CU_ASSERT_EQUAL(xf_bitmap_next(b, 65, 129), 129); /* beyond the end: none */
    CU_ASSERT_EQUAL(xf_bitmap_next(b, 130, 130), 130);
    CU_ASSERT_TRUE(xf_unset_atomic(b, 129));
    CU_ASSERT_FALSE(xf_unset_atomic(b, 129));
    xf_unset(b, 0);
    CU_ASSERT_EQUAL(xf_bitmap_next(b, 0, 130), 63);
    free(b);
}

static void test_zero(void)
{
    uint8_t *p = calloc(1, XF_PAGE_SIZE);

    CU_ASSERT(xf_page_is_zero(p));
    for (unsigned i = 0; i < XF_PAGE_SIZE; i++) {
        p[i] = 1;
        if (xf_page_is_zero(p))
            CU_FAIL("a byte was overlooked");
        p[i] = 0;
    }
    free(p);
}

/* --- the policy --- */

static enum xf_switch_reason round_left(struct xf_policy *p, unsigned round, uint64_t left)
{
    struct xf_round r = {.round = round, .remaining = left, .page_rate = 1000, .fixed_s = 0.1};

    return xf_policy_decide(p, &r);
}

static void test_predict(void)
{
    struct xf_round r = {.round = 1, .remaining = 0, .fixed_s = 0.25};

    CU_ASSERT_EQUAL(xf_policy_predict(&r), 0.25); /* nothing to send needs no rate */
    r.remaining = 1;
    CU_ASSERT(xf_policy_predict(&r) < 0);
    r.page_rate = 4;
    CU_ASSERT_EQUAL(xf_policy_predict(&r), 0.5);
}

static void test_short(void)
{
    struct xf_policy p = {.max_downtime_s = 0.3, .max_rounds = 10};

    CU_ASSERT_EQUAL(round_left(&p, 1, 250), XF_SWITCH_NOT_YET);
    CU_ASSERT_EQUAL(round_left(&p, 2, 190), XF_SWITCH_SHORT);
    CU_ASSERT_EQUAL(round_left(&p, 1, 100), XF_SWITCH_SHORT);
    /* short comes before every other reason */
    CU_ASSERT_EQUAL(round_left(&p, 10, 100), XF_SWITCH_SHORT);
}

static void test_no_rate(void)
{
    struct xf_policy p = {.max_downtime_s = 1000, .max_rounds = 3};
    struct xf_round r = {.round = 1, .remaining = 5};

    CU_ASSERT_EQUAL(xf_policy_decide(&p, &r), XF_SWITCH_NOT_YET);
    r.round = 3;
    r.remaining = 1;
    CU_ASSERT_EQUAL(xf_policy_decide(&p, &r), XF_SWITCH_ROUNDS);
}

static void test_rounds(void)
{
    struct xf_policy p = {.max_downtime_s = 0, .max_rounds = 4};

    CU_ASSERT_EQUAL(round_left(&p, 1, 8000), XF_SWITCH_NOT_YET);
    CU_ASSERT_EQUAL(round_left(&p, 2, 4000), XF_SWITCH_NOT_YET);
    CU_ASSERT_EQUAL(round_left(&p, 3, 2000), XF_SWITCH_NOT_YET);
    CU_ASSERT_EQUAL(round_left(&p, 4, 1000), XF_SWITCH_ROUNDS);
    p = (struct xf_policy){.max_rounds = 1};
    CU_ASSERT_EQUAL(round_left(&p, 1, 1000), XF_SWITCH_ROUNDS);
}

static void test_poor(void)
{
    struct xf_policy p = {.max_downtime_s = 0, .max_rounds = 100};

    /* Round 1 is never poor, however much it leaves. */
    CU_ASSERT_EQUAL(round_left(&p, 1, 10000), XF_SWITCH_NOT_YET);
    CU_ASSERT_EQUAL(round_left(&p, 2, 9000), XF_SWITCH_NOT_YET); /* the very limit: good */
    CU_ASSERT_EQUAL(round_left(&p, 3, 4000), XF_SWITCH_NOT_YET);
    CU_ASSERT_EQUAL(round_left(&p, 4, 3601), XF_SWITCH_NOT_PAYING);
}

static void test_reasons(void)
{
    for (int r = XF_SWITCH_NOT_YET; r <= XF_SWITCH_NOT_PAYING; r++)
        CU_ASSERT(strlen(xf_switch_reason_text((enum xf_switch_reason)r)) > 3);
}

/* --- the order --- */

#define N 5003u

static void heat(struct xf_order *o, uint64_t gfn, unsigned rounds)
{
    unsigned long *dirty = xf_bitmap_new(o->nr_gfns);

    xf_set(dirty, gfn);
    while (rounds--)
        xf_order_begin(o, dirty);
    free(dirty);
}

static void test_order_once(void)
{
    static const unsigned sizes[] = {1, 7, 64, 1024};
    uint64_t gfns[1024];

    for (unsigned k = 0; k < 4; k++) {
        struct xf_order o;
        unsigned long *seen = xf_bitmap_new(N), *dirty = xf_bitmap_new(N);
        uint32_t x = 5;
        uint64_t total = 0;
        unsigned n;

        CU_ASSERT_EQUAL_FATAL(xf_order_init(&o, N), 0);
        for (unsigned r = 0; r < 5; r++) { /* any mix of heats */
            for (uint64_t g = 0; g < N; g++) {
                x = x * 1664525u + 1013904223u;
                if (x >> 30 == 0)
                    xf_set(dirty, g);
                else
                    xf_unset(dirty, g);
            }
            xf_order_begin(&o, dirty);
        }
        for (uint64_t g = 0; g < N; g++)
            if (g % 3)
                xf_set(o.todo, g);
        xf_order_begin(&o, dirty);
        CU_ASSERT_EQUAL(o.left, xf_bitmap_count(o.todo, N));
        while ((n = xf_order_next(&o, gfns, sizes[k], true)) > 0) {
            CU_ASSERT(n <= sizes[k]);
            for (unsigned i = 0; i < n; i++) {
                if (gfns[i] % 3 == 0 || xf_set_atomic(seen, gfns[i]) ||
                    (i && gfns[i] <= gfns[i - 1]))
                    CU_FAIL("a wrong gfn, twice, or not ascending");
            }
            total += n;
        }
        CU_ASSERT_EQUAL(total, N - (N + 2) / 3);
        CU_ASSERT_EQUAL(o.left, 0);
        CU_ASSERT_EQUAL(o.skipped, 0);
        CU_ASSERT_EQUAL(xf_order_next(&o, gfns, 1024, false), 0);
        xf_order_free(&o);
        free(seen);
        free(dirty);
    }
}

/* Coldest first; each class is a batch of its own. */
static void test_order_heat(void)
{
    static const uint64_t expected[][2] = {{0, 4}, {3, 9}, {2, 2}};
    uint64_t gfns[16];
    struct xf_order o;

    CU_ASSERT_EQUAL_FATAL(xf_order_init(&o, 10), 0);
    o.heat[1] = 0xf0;
    o.heat[5] = 0x70; /* three of four: the hottest class as well */
    o.heat[2] = 0xa0;
    o.heat[3] = 0x80;
    o.heat[9] = 0x1f; /* what is older than four rounds does not count */
    o.heat[4] = 0x0f;
    for (uint64_t g = 0; g < 10; g++)
        if (g < 6 || g == 9)
            xf_set(o.todo, g);
    xf_order_begin(&o, NULL); /* without a dirty map heat stays as it is */
    for (unsigned i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(xf_order_next(&o, gfns, 16, true), i < 2 ? 2 : 1);
        CU_ASSERT_EQUAL(gfns[0], expected[i][0]);
        if (i < 2)
            CU_ASSERT_EQUAL(gfns[1], expected[i][1]);
    }
    CU_ASSERT_EQUAL(xf_order_next(&o, gfns, 16, true), 2);
    CU_ASSERT(gfns[0] == 1 && gfns[1] == 5);
    CU_ASSERT_EQUAL(xf_order_next(&o, gfns, 16, true), 0);
    xf_order_free(&o);
}

/* Heat comes and goes with the rounds. */
static void test_order_cools(void)
{
    struct xf_order o;
    unsigned long *none = xf_bitmap_new(4);

    CU_ASSERT_EQUAL_FATAL(xf_order_init(&o, 4), 0);
    heat(&o, 2, 3);
    CU_ASSERT_EQUAL(o.heat[2], 0xe0);
    for (int i = 0; i < 8; i++)
        xf_order_begin(&o, none);
    CU_ASSERT_EQUAL(o.heat[2], 0);
    CU_ASSERT_EQUAL(o.heat[1], 0);
    xf_order_free(&o);
    free(none);
}

static void test_order_again(void)
{
    uint64_t gfns[16];
    struct xf_order o;

    CU_ASSERT_EQUAL_FATAL(xf_order_init(&o, 200), 0);
    for (uint64_t g = 0; g < 200; g++)
        xf_set(o.todo, g);
    xf_order_begin(&o, NULL);
    CU_ASSERT_EQUAL(xf_order_next(&o, gfns, 10, true), 10);
    for (uint64_t g = 5; g < 195; g++) /* 5..9 had their turn already */
        xf_set(o.again, g);
    CU_ASSERT_EQUAL(xf_order_next(&o, gfns, 16, true), 5);
    CU_ASSERT_EQUAL(gfns[0], 195);
    CU_ASSERT_EQUAL(o.skipped, 185);
    CU_ASSERT_EQUAL(o.left, 0);
    CU_ASSERT_EQUAL(xf_order_next(&o, gfns, 16, true), 0);

    /* In SWITCH nothing is skipped; and a new round forgets the old peek. */
    for (uint64_t g = 0; g < 200; g++)
        xf_set(o.todo, g);
    xf_order_begin(&o, NULL);
    CU_ASSERT_EQUAL(xf_bitmap_count(o.again, 200), 0);
    xf_set(o.again, 0);
    CU_ASSERT_EQUAL(xf_order_next(&o, gfns, 16, false), 16);
    CU_ASSERT_EQUAL(gfns[0], 0);
    xf_order_free(&o);

    CU_ASSERT_EQUAL_FATAL(xf_order_init(&o, 0), 0); /* a guest without gfns is no crash */
    xf_order_begin(&o, NULL);
    CU_ASSERT_EQUAL(xf_order_next(&o, gfns, 16, true), 0);
    xf_order_free(&o);
}

/* --- presence --- */

static struct fake *f;
static struct xf_presence p;
static unsigned long *todo;
static struct xf_err err;

static void look(void)
{
    f = fake_new();
    todo = xf_bitmap_new(FAKE_GFNS);
    xf_clear(&err);
    CU_ASSERT_EQUAL_FATAL(xf_presence_init(&p, &f->src, &err), 0);
    CU_ASSERT_EQUAL_FATAL(xf_presence_first(&p, &err), 0);
}

static uint64_t sweep(void)
{
    memset(todo, 0, xf_bitmap_words(FAKE_GFNS) * sizeof(*todo));
    CU_ASSERT_EQUAL(xf_presence_sweep(&p, todo, &err), 0);
    return xf_bitmap_count(todo, FAKE_GFNS);
}

static void look_end(void)
{
    xf_presence_free(&p);
    CU_ASSERT_EQUAL(f->views, 0);
    CU_ASSERT_EQUAL(f->broken, 0);
    fake_free(f);
    free(todo);
}

static void test_presence(void)
{
    unsigned calls;

    look();
    CU_ASSERT_EQUAL(p.present, f->at_source.pages);
    CU_ASSERT_EQUAL(p.extra, 5);
    calls = f->calls[FAKE_CLASSIFY];
    CU_ASSERT_EQUAL(calls, 5); /* every chunk once */
    CU_ASSERT_EQUAL(sweep(), 0);
    CU_ASSERT_EQUAL(f->calls[FAKE_CLASSIFY] - calls, 4); /* not the chunk that is a hole */

    fake_balloon_in(f, FAKE_SPARE, 1);
    CU_ASSERT_EQUAL(sweep(), 1);
    CU_ASSERT(xf_bit(todo, FAKE_SPARE));
    CU_ASSERT_EQUAL(sweep(), 1); /* once more: it was written unlogged meanwhile, perhaps */
    CU_ASSERT(xf_bit(todo, FAKE_SPARE));
    CU_ASSERT_EQUAL(sweep(), 0);

    fake_balloon_out(f, FAKE_SPARE);
    CU_ASSERT_EQUAL(sweep(), 1);
    CU_ASSERT_EQUAL(sweep(), 0);

    /* Where no chunk had a page before: found by the number of pages. */
    fake_balloon_in(f, FAKE_HOLE2 + 1000, 1);
    CU_ASSERT_EQUAL(sweep(), 1);
    CU_ASSERT(xf_bit(todo, FAKE_HOLE2 + 1000));
    /* todo is added to, not overwritten */
    xf_set(todo, 7);
    CU_ASSERT_EQUAL(xf_presence_sweep(&p, todo, &err), 0);
    CU_ASSERT(xf_bit(todo, 7));
    look_end();
}

static void test_settled(void)
{
    bool settled;

    look();
    CU_ASSERT_EQUAL(xf_presence_settled(&p, 0, &settled, &err), 0);
    CU_ASSERT_FALSE(settled);
    sweep();
    sweep();
    CU_ASSERT_EQUAL(xf_presence_settled(&p, 0, &settled, &err), 0);
    CU_ASSERT_TRUE(settled);
    CU_ASSERT_EQUAL(xf_presence_settled(&p, 100, &settled, &err), 0);
    CU_ASSERT_FALSE(settled); /* a look that costs little is never left out */
    fake_balloon_in(f, FAKE_SPARE, 1);
    CU_ASSERT_EQUAL(xf_presence_settled(&p, 0, &settled, &err), 0);
    CU_ASSERT_FALSE(settled);
    sweep();
    CU_ASSERT_EQUAL(xf_presence_settled(&p, 0, &settled, &err), 0);
    CU_ASSERT_FALSE(settled);
    memset(todo, 0, xf_bitmap_words(FAKE_GFNS) * sizeof(*todo));
    xf_presence_owed(&p, todo);
    CU_ASSERT_EQUAL(xf_bitmap_count(todo, FAKE_GFNS), 1);
    CU_ASSERT(xf_bit(todo, FAKE_SPARE));
    look_end();
}

static void test_presence_fails(void)
{
    bool settled;

    look();
    fake_fail_next(f, FAKE_CLASSIFY);
    CU_ASSERT_EQUAL(xf_presence_sweep(&p, todo, &err), -1);
    CU_ASSERT_EQUAL(err.num, EIO);
    fake_fail_next(f, FAKE_POPULATION);
    CU_ASSERT_EQUAL(xf_presence_settled(&p, 0, &settled, NULL), -1);
    look_end();
    xf_presence_free(&p); /* and once more */
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"bitmap", test_bitmap},
        {"zero page", test_zero},
        {"prediction", test_predict},
        {"short", test_short},
        {"no rate", test_no_rate},
        {"round limit", test_rounds},
        {"not paying", test_poor},
        {"reasons", test_reasons},
        {"every page once", test_order_once},
        {"coldest first", test_order_heat},
        {"heat cools", test_order_cools},
        {"dirty again", test_order_again},
        {"presence", test_presence},
        {"settled", test_settled},
        {"presence fails", test_presence_fails},
        CU_TEST_INFO_NULL,
    };

    return run_suite("rounds", tests);
}
