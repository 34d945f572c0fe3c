/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What decides within and between rounds, each by itself: bitmaps, the policy, the order
 * of pages, the zero test, and the look at which gfns have memory.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "precopy/growth.h"
#include "precopy/order.h"
#include "precopy/policy.h"
#include "precopy/presence.h"
#include "pages/zero.h"
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
    struct xf_round r = {
        .round = round, .remaining = left, .page_rate = 1000, .fixed_s = 0.1, .next = -1};

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

/* Within the limit, too, a round is made that at least halves what is left. */
static void test_shortens(void)
{
    struct xf_policy p = {.max_downtime_s = 0.5, .max_rounds = 10};
    struct xf_round r = {
        .round = 1, .remaining = 400, .page_rate = 1000, .fixed_s = 0.1, .next = 200};

    CU_ASSERT_EQUAL(xf_policy_decide(&p, &r), XF_SWITCH_NOT_YET);
    r.next = 201;
    CU_ASSERT_EQUAL(xf_policy_decide(&p, &r), XF_SWITCH_SHORT);
    r.next = -1; /* unknown */
    CU_ASSERT_EQUAL(xf_policy_decide(&p, &r), XF_SWITCH_SHORT);
    r.next = 10;
    p.last_remaining = 1000;
    r.round = 10; /* the last one that is allowed */
    CU_ASSERT_EQUAL(xf_policy_decide(&p, &r), XF_SWITCH_SHORT);
    r.round = 2;
    p.last_remaining = 410; /* the one before has not kept what was promised */
    CU_ASSERT_EQUAL(xf_policy_decide(&p, &r), XF_SWITCH_SHORT);
    p.last_remaining = 1000;
    r.remaining = 101;
    CU_ASSERT_EQUAL(xf_policy_decide(&p, &r), XF_SWITCH_NOT_YET);
    r.remaining = 100; /* no longer than what SWITCH costs anyway */
    p.last_remaining = 1000;
    CU_ASSERT_EQUAL(xf_policy_decide(&p, &r), XF_SWITCH_SHORT);
    r.fixed_s = 0;
    r.next = 0;
    r.remaining = 2;
    p.last_remaining = 1000;
    CU_ASSERT_EQUAL(xf_policy_decide(&p, &r), XF_SWITCH_NOT_YET);
    r.remaining = 1; /* a page takes a millisecond */
    CU_ASSERT_EQUAL(xf_policy_decide(&p, &r), XF_SWITCH_SHORT);
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

/* Where pages may be left, a round that would not halve the rest is not begun. */
static void test_paying(void)
{
    struct xf_policy p = {.max_downtime_s = 0.3, .max_rounds = 100, .may_leave = true};
    struct xf_round r = {
        .round = 1, .remaining = 10000, .page_rate = 1000, .fixed_s = 0.1, .next = 5001};

    CU_ASSERT_EQUAL(xf_policy_decide(&p, &r), XF_SWITCH_NOT_PAYING);
    r.next = 5000;
    CU_ASSERT_EQUAL(xf_policy_decide(&p, &r), XF_SWITCH_NOT_YET);
    r.round = 2;
    r.next = -1; /* unknown: go on */
    r.remaining = 8000;
    CU_ASSERT_EQUAL(xf_policy_decide(&p, &r), XF_SWITCH_NOT_YET);
    r.round = 3;
    r.remaining = 7999; /* and as ever, when it hardly became less */
    CU_ASSERT_EQUAL(xf_policy_decide(&p, &r), XF_SWITCH_NOT_PAYING);

    /* One more round that will be the last does pay, for then nothing is left out. */
    p.last_remaining = 0;
    r = (struct xf_round){
        .round = 1, .remaining = 300, .page_rate = 1000, .fixed_s = 0.1, .next = 199};
    CU_ASSERT_EQUAL(xf_policy_decide(&p, &r), XF_SWITCH_NOT_YET);
    r.next = 201;
    CU_ASSERT_EQUAL(xf_policy_decide(&p, &r), XF_SWITCH_NOT_PAYING);

    p = (struct xf_policy){.max_downtime_s = 0.3, .max_rounds = 100};
    CU_ASSERT_EQUAL(xf_policy_decide(&p, &r), XF_SWITCH_NOT_YET); /* nothing may be left */
}

static void test_worth(void)
{
    struct xf_policy p = {.max_downtime_s = 0.3, .may_leave = true};
    struct xf_round r = {.round = 1, .remaining = 301, .page_rate = 10000, .fixed_s = 0.1};

    CU_ASSERT_TRUE(xf_policy_worth(&p, &r)); /* 30.1 ms of 300 */
    r.remaining = 300;
    CU_ASSERT_FALSE(xf_policy_worth(&p, &r));
    r.remaining = 1000; /* what it takes without any page counts, if that is more */
    r.fixed_s = 1;
    CU_ASSERT_FALSE(xf_policy_worth(&p, &r));
    r.page_rate = 0; /* nobody knows what they take */
    CU_ASSERT_TRUE(xf_policy_worth(&p, &r));
}

static void test_cut(void)
{
    const struct xf_policy p = {.max_downtime_s = 0.3, .may_leave = true};
    const struct xf_policy all = {.max_downtime_s = 0.3};
    struct xf_within w = {.memory = 64000,
                          .to_send = 50000,
                          .wasted = 500,
                          .written = 10000,
                          .at_end = 35001,
                          .page_rate = 20000,
                          .fixed_s = 0.1};

    CU_ASSERT_TRUE(xf_policy_cut(&p, &w));
    CU_ASSERT_FALSE(xf_policy_cut(&all, &w));
    w.at_end = 35000; /* 25000 of 50000 in vain: it still pays */
    CU_ASSERT_FALSE(xf_policy_cut(&p, &w));
    w.at_end = -1;
    CU_ASSERT_FALSE(xf_policy_cut(&p, &w));
    w.at_end = 60000;
    CU_ASSERT_TRUE(xf_policy_cut(&p, &w));
    w.wasted = 499; /* too early */
    CU_ASSERT_FALSE(xf_policy_cut(&p, &w));
    w.wasted = 500;
    w.page_rate = 1e6; /* a link that takes what is left in no time */
    CU_ASSERT_FALSE(xf_policy_cut(&p, &w));
}

/* --- what a guest writes, as time goes on --- */

/* Writes any of n pages at random, so many per second: so many are written after t seconds. */
static double any_of(double n, double rate, double t)
{
    return n * -expm1(-rate * t / n);
}

static void test_growth(void)
{
    struct xf_growth g = {0};

    CU_ASSERT(xf_growth_at(&g, 1, 100) < 0);
    xf_growth_add(&g, 0.5, 40); /* a line so far */
    CU_ASSERT_DOUBLE_EQUAL(xf_growth_at(&g, 0.25, 1000), 20, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(xf_growth_at(&g, 1, 1000), 80, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(xf_growth_at(&g, 1, 50), 50, 1e-9);
    xf_growth_add(&g, 1, 40); /* that was all */
    CU_ASSERT_DOUBLE_EQUAL(xf_growth_at(&g, 0.75, 1000), 40, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(xf_growth_at(&g, 100, 1000), 40, 1e-9);
    xf_growth_add(&g, 2, 4000); /* the guest begins something else: no curve but a line */
    CU_ASSERT_DOUBLE_EQUAL(xf_growth_at(&g, 3, 1e6), 6000, 1e-6);
    xf_growth_clear(&g);
    CU_ASSERT(xf_growth_at(&g, 1, 100) < 0);
    xf_growth_add(&g, 0, 7); /* a look at once */
    CU_ASSERT_DOUBLE_EQUAL(xf_growth_at(&g, 5, 100), 7, 1e-9);
    xf_growth_clear(&g);
    xf_growth_add(&g, 1, 0); /* nothing at all */
    xf_growth_add(&g, 2, 0);
    CU_ASSERT_DOUBLE_EQUAL(xf_growth_at(&g, 50, 100), 0, 1e-9);

    /* A set that fills up is known long before it is full. */
    xf_growth_clear(&g);
    for (double t = 0.02; t < 0.5; t += 0.02)
        xf_growth_add(&g, t, (uint64_t)any_of(50000, 60000, t));
    CU_ASSERT_DOUBLE_EQUAL(xf_growth_at(&g, 4, 1u << 20), any_of(50000, 60000, 4), 2500);

    /* A day of looks fits, and the last one is kept as it is. */
    xf_growth_clear(&g);
    for (unsigned i = 1; i <= 500000; i++)
        xf_growth_add(&g, i * 0.2, i);
    CU_ASSERT(g.n <= XF_GROWTH_LOOKS);
    CU_ASSERT_DOUBLE_EQUAL(xf_growth_at(&g, 100000, UINT64_MAX), 500000, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(xf_growth_at(&g, 50, UINT64_MAX), 250, 20);
}

/*
 * COPY of a guest that writes any of its `hot` pages at random, `writes` per second, over a link
 * of so many pages per second, decided as copy_round.c does: a look every 20 ms. What is hot lies
 * scattered. Returns pages sent before GO and after, *left of them after.
 */
static double simulate(double memory, double hot, double writes, double link, double *left,
                       enum xf_switch_reason *why)
{
    struct xf_policy p = {.max_downtime_s = 0.3, .max_rounds = 10, .may_leave = true};
    struct xf_round r = {.page_rate = link, .fixed_s = 0.05};
    double sent = 0, todo = memory, todo_hot = hot;
    const double dt = 0.02;

    for (;;) {
        struct xf_growth g = {0};
        double clean = 0, t = 0; /* clean: hot pages sent in this round and not written since */

        r.round++;
        while (todo > 1) {
            double written = any_of(hot, writes, t), now;
            double fresh = any_of(hot, writes, t + dt) - written;
            /* Of what is written newly, this part was to be sent, and is skipped now. */
            double skip = hot > written ? fresh * todo_hot / (hot - written) : 0;
            struct xf_within w = {.memory = (uint64_t)memory, .page_rate = link};

            if (skip > todo_hot)
                skip = todo_hot;
            todo -= skip;
            todo_hot -= skip;
            now = todo < link * dt ? todo : link * dt;
            clean += now * todo_hot / (todo > 0 ? todo : 1);
            clean -= hot > written ? clean * fresh / (hot - written) : clean;
            todo_hot -= now * todo_hot / (todo > 0 ? todo : 1);
            todo -= now;
            sent += now;
            t += dt;
            written += fresh;
            xf_growth_add(&g, t, (uint64_t)written);
            w.to_send = (uint64_t)(todo > 0 ? todo : 0);
            w.written = written;
            w.at_end = xf_growth_at(&g, t + todo / link, (uint64_t)memory);
            w.fixed_s = r.fixed_s;
            /* Written, not skipped and had its turn: sent in vain. */
            w.wasted = (uint64_t)(hot - todo_hot - clean > 0 ? link * t * hot / memory - clean : 0);
            if (t > 0.07 && xf_policy_cut(&p, &w)) {
                *left = todo + written;
                *why = XF_SWITCH_NOT_YET; /* cut */
                return sent + *left;
            }
        }
        r.remaining = (uint64_t)any_of(hot, writes, t);
        xf_growth_add(&g, t, r.remaining);
        r.next = xf_growth_at(&g, (double)r.remaining / link, (uint64_t)memory);
        *why = xf_policy_decide(&p, &r);
        *left = (double)r.remaining;
        if (*why != XF_SWITCH_NOT_YET)
            return sent + *left;
        todo = todo_hot = *left;
    }
}

/* Faster than the link: little is sent twice, whatever part of its memory the guest writes. */
static void test_fast_writer(void)
{
    static const double hots[] = {131072, 100000, 50000, 30000, 15000};
    enum xf_switch_reason why;
    double left;

    for (unsigned i = 0; i < 5; i++) {
        double pages = simulate(131072, hots[i], 60000, 28000, &left, &why);

        CU_ASSERT(pages <= 1.1 * 131072);
        if (pages > 1.1 * 131072)
            fprintf(stderr, "hot %.0f: %.0f pages, %.0f left\n", hots[i], pages, left);
        CU_ASSERT(why != XF_SWITCH_SHORT);
    }
    /* The same guest over a link that is faster: it is copied, and nothing is left out. */
    simulate(131072, 131072, 60000, 280000, &left, &why);
    CU_ASSERT_EQUAL(why, XF_SWITCH_SHORT);
    /* And one that writes all the time, but few pages. */
    simulate(131072, 5000, 60000, 28000, &left, &why);
    CU_ASSERT_EQUAL(why, XF_SWITCH_SHORT);
    simulate(131072, 131072, 2000, 28000, &left, &why);
    CU_ASSERT_EQUAL(why, XF_SWITCH_SHORT);
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

/* A look at a guest that is large, or on a slow machine: here each chunk takes 60 ms. */
static void take_time(struct fake *fake, enum fake_op op, unsigned nth)
{
    (void)fake;
    (void)nth;
    if (op == FAKE_CLASSIFY)
        nanosleep(&(struct timespec){.tv_nsec = 60000000}, NULL);
}

static int call_off(void *priv, struct xf_err *e)
{
    return ++*(unsigned *)priv == 2 ? xf_fail(e, ECANCELED, "interrupted") : 0;
}

static void test_interrupted(void)
{
    unsigned ticks = 0, calls;

    look();
    f->hook = take_time;
    p.tick = (struct xf_tick){call_off, &ticks};
    calls = f->calls[FAKE_CLASSIFY];
    CU_ASSERT_EQUAL(xf_presence_first(&p, &err), -1);
    CU_ASSERT(err.num == ECANCELED && ticks == 2);
    CU_ASSERT(f->calls[FAKE_CLASSIFY] - calls < 5);
    xf_clear(&err);
    ticks = 0;
    CU_ASSERT_EQUAL(xf_presence_sweep(&p, todo, &err), -1);
    CU_ASSERT(err.num == ECANCELED && ticks == 2);
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
        {"one more round for less downtime", test_shortens},
        {"no rate", test_no_rate},
        {"round limit", test_rounds},
        {"not paying", test_poor},
        {"a round that pays", test_paying},
        {"worth leaving", test_worth},
        {"cutting a round short", test_cut},
        {"growth of what is written", test_growth},
        {"a writer faster than the link", test_fast_writer},
        {"reasons", test_reasons},
        {"every page once", test_order_once},
        {"coldest first", test_order_heat},
        {"heat cools", test_order_cools},
        {"dirty again", test_order_again},
        {"presence", test_presence},
        {"presence, interrupted", test_interrupted},
        {"settled", test_settled},
        {"presence fails", test_presence_fails},
        CU_TEST_INFO_NULL,
    };

    return run_suite("rounds", tests);
}
