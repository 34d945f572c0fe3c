/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The forecast of a move: what it must come to where that is known, and against a guest and a COPY
 * that are played page by page.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "precopy/forecast.h"
#include "tests/unit/suite.h"

#define PAGES 65536u
#define RATE 30000.0 /* pages per second of the link */

static struct xf_forecast_in quiet(enum xf_mode mode)
{
    return (struct xf_forecast_in){.mode = mode,
                                   .policy = {.max_downtime_s = 0.3, .max_rounds = 30},
                                   .memory = PAGES,
                                   .page_rate = RATE,
                                   .page_bytes = XF_PAGE_SIZE,
                                   .fixed_s = 0.03};
}

static void test_idle(void)
{
    struct xf_forecast_in in = quiet(XF_MODE_PRECOPY);
    struct xf_forecast f = xf_forecast(&in);

    CU_ASSERT_DOUBLE_EQUAL(f.total_s, PAGES / RATE + 0.03, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(f.downtime_s, 0.03, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(f.bytes, PAGES * 4096.0, 1);
    CU_ASSERT_EQUAL(f.rounds, 1);
    CU_ASSERT_EQUAL(f.reason, XF_SWITCH_SHORT);
    in.zero_part = 0.5; /* which cost nothing */
    in.begin_s = 2;
    in.round_s = 0.1;
    f = xf_forecast(&in);
    CU_ASSERT_DOUBLE_EQUAL(f.total_s, 2 + 0.1 + PAGES / RATE / 2 + 0.03, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(f.bytes, PAGES * 2048.0, 1);
    in.zero_rate = RATE; /* ... or as much as the others */
    f = xf_forecast(&in);
    CU_ASSERT_DOUBLE_EQUAL(f.total_s, 2 + 0.1 + PAGES / RATE + 0.03, 1e-6);
    in.bandwidth = 4096 * 1000; /* a limit of the guest's memory, zero pages included */
    f = xf_forecast(&in);
    CU_ASSERT_DOUBLE_EQUAL(f.total_s, 2 + 0.1 + PAGES / 1000.0 + 0.03, 1e-3);
}

static void test_unknown(void)
{
    struct xf_forecast_in in = quiet(XF_MODE_HYBRID);
    struct xf_forecast f;

    in.page_rate = 0;
    f = xf_forecast(&in);
    CU_ASSERT(f.total_s < 0 && f.downtime_s < 0 && f.bytes < 0);
}

static void test_postcopy(void)
{
    struct xf_forecast_in in = quiet(XF_MODE_POSTCOPY);
    struct xf_forecast f;

    in.zero_part = 0.25;
    in.zero_rate = 1e6;
    xf_growth_add(&in.growth, 1, 50000); /* whatever it writes */
    xf_growth_add(&in.growth, 2, 65000);
    f = xf_forecast(&in);
    CU_ASSERT_DOUBLE_EQUAL(f.total_s, PAGES / 1e6 + 0.75 * PAGES / RATE + f.downtime_s, 1e-6);
    CU_ASSERT(f.downtime_s < 0.1);
    CU_ASSERT_DOUBLE_EQUAL(f.left_out, 0.75 * PAGES, 1);
    CU_ASSERT_EQUAL(f.reason, XF_SWITCH_AT_ONCE);
    CU_ASSERT_EQUAL(f.rounds, 0);
}

/* The log has been on before the first round: its pages belong to the second. */
static void test_lead(void)
{
    struct xf_forecast_in in = quiet(XF_MODE_PRECOPY);
    struct xf_forecast without, with;

    in.memory = 8 * PAGES;
    in.policy = (struct xf_policy){.max_downtime_s = 0.01, .max_rounds = 2};
    for (double t = 0.5; t < 4; t += 0.5)
        xf_growth_add(&in.growth, t, (uint64_t)(100 * t));
    without = xf_forecast(&in);
    in.lead_s = 60;
    with = xf_forecast(&in);
    CU_ASSERT(with.bytes > without.bytes);
    CU_ASSERT(with.total_s < without.total_s + 60);
}

/* --- a guest and a COPY, page by page --- */

struct played {
    double total_s, down_s, sent, left;
    unsigned rounds;
};

struct guest {
    uint8_t *dirty, *todo;
    unsigned set; /* it writes any of the first `set` pages, */
    double rate;  /* so many a second, */
    double owed;  /* and has not written these yet */
    unsigned random, nr_dirty;
};

static void let_write(struct guest *g, double seconds)
{
    for (g->owed += seconds * g->rate; g->owed >= 1; g->owed--) {
        g->random = g->random * 1664525u + 1013904223u;
        unsigned gfn = (unsigned)((uint64_t)g->random * g->set >> 32);

        gfn = (unsigned)((uint64_t)gfn * (PAGES / g->set)); /* spread over its memory */
        g->nr_dirty += !g->dirty[gfn];
        g->dirty[gfn] = 1;
    }
}

/* What COPY with this policy makes of it. Looks: taken from the guest before the move. */
static struct played play(const struct xf_forecast_in *in, unsigned set, double rate)
{
    struct guest g = {.dirty = calloc(1, PAGES), .todo = malloc(PAGES), .set = set, .rate = rate};
    uint8_t *seen = malloc(PAGES);
    struct xf_policy p = in->policy;
    struct played out = {0};
    enum xf_switch_reason why = XF_SWITCH_NOT_YET;
    unsigned nr = PAGES;

    p.may_leave = in->mode == XF_MODE_HYBRID;
    memset(g.todo, 1, PAGES);
    for (struct xf_round r = {.round = 1}; why == XF_SWITCH_NOT_YET; r.round++) {
        struct xf_growth growth = {0};
        double t = 0, next = 0.02, sent = 0;
        unsigned unsent = 0, wasted = 0;
        bool cut = false;

        memset(seen, 0, PAGES);
        for (unsigned i = 0; i < PAGES; i++) {
            if (!g.todo[i])
                continue;
            g.todo[i] = 0;
            nr--;
            if (seen[i])
                continue;
            if (cut) {
                unsent++;
                continue;
            }
            sent++;
            t += 1 / RATE;
            let_write(&g, 1 / RATE);
            if (t < next)
                continue;
            memcpy(seen, g.dirty, PAGES);
            xf_growth_add(&growth, t, g.nr_dirty);
            next = t + (p.may_leave ? fmax(0.02, fmin(0.5, t / 8)) : 0.5);
            wasted = 0;
            struct xf_within w = {
                .memory = PAGES, .written = g.nr_dirty, .page_rate = RATE, .fixed_s = in->fixed_s};
            for (unsigned k = 0; k < PAGES; k++)
                w.to_send += g.todo[k] && !g.dirty[k];
            for (unsigned k = 0; k <= i; k++)
                wasted += g.dirty[k];
            w.wasted = wasted > i + 1 - (unsigned)sent ? wasted - (i + 1 - (unsigned)sent) : 0;
            w.at_end = xf_growth_at(&growth, t + (double)w.to_send / RATE, PAGES);
            cut = growth.n >= 4 && xf_policy_cut(&p, &w);
        }
        out.total_s += t;
        out.sent += sent;
        out.rounds = r.round;
        r.remaining = g.nr_dirty + unsent;
        r.page_rate = RATE;
        r.fixed_s = in->fixed_s;
        xf_growth_add(&growth, t, g.nr_dirty);
        r.next = xf_growth_at(&growth, g.nr_dirty / RATE, PAGES);
        why = cut ? XF_SWITCH_NOT_PAYING : xf_policy_decide(&p, &r);
        if (why != XF_SWITCH_NOT_YET) {
            bool leave = p.may_leave && why != XF_SWITCH_SHORT && (cut || xf_policy_worth(&p, &r));

            out.left = leave ? (double)r.remaining : 0;
            out.down_s = in->fixed_s + (leave ? 0 : (double)r.remaining / RATE);
            out.total_s += in->fixed_s + (double)r.remaining / RATE;
            out.sent += (double)r.remaining;
            break;
        }
        memcpy(g.todo, g.dirty, PAGES);
        nr = g.nr_dirty;
        memset(g.dirty, 0, PAGES);
        g.nr_dirty = 0;
    }
    free(g.dirty);
    free(g.todo);
    free(seen);
    CU_ASSERT_EQUAL(nr, 0);
    return out;
}

/* Looks at the log of such a guest over 3 s, as CHECK takes them. */
static void look(struct xf_growth *growth, unsigned set, double rate)
{
    struct guest g = {.dirty = calloc(1, PAGES), .set = set, .rate = rate, .random = 77};
    double t = 0;

    for (double next = 0.05; next <= 3; next = next < 0.4 ? next * 2 : next + 0.4) {
        let_write(&g, next - t);
        t = next;
        xf_growth_add(growth, t, g.nr_dirty);
    }
    free(g.dirty);
}

static void test_played(void)
{
    static const enum xf_mode modes[] = {XF_MODE_PRECOPY, XF_MODE_HYBRID};
    static const double rates[] = {10, 500, 3000, 8000, 20000, 60000};
    static const unsigned sets[] = {64, 2048, 16384, PAGES};
    unsigned n = 0, far = 0;

    for (unsigned m = 0; m < 2; m++)
        for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
            for (unsigned k = 0; k < sizeof(sets) / sizeof(sets[0]); k++) {
                struct xf_forecast_in in = quiet(modes[m]);
                struct xf_forecast f;
                struct played p;

                look(&in.growth, sets[k], rates[i]);
                f = xf_forecast(&in);
                p = play(&in, sets[k], rates[i]);
                n++;
                if (f.total_s > 1.25 * p.total_s || p.total_s > 1.25 * f.total_s ||
                    f.bytes > 1.3 * 4096 * p.sent || 4096 * p.sent > 1.3 * f.bytes) {
                    far++;
                    printf("mode %u, %g/s of %u: %.3f s, %.0f pages, %u rounds, left %.0f; played "
                           "%.3f s, %.0f, %u, %.0f\n",
                           m, rates[i], sets[k], f.total_s, f.bytes / 4096, f.rounds, f.left_out,
                           p.total_s, p.sent, p.rounds, p.left);
                }
                CU_ASSERT(f.downtime_s < 3 * p.down_s + 0.1 && p.down_s < 3 * f.downtime_s + 0.1);
            }
    CU_ASSERT(n == 48 && far <= 3);
    if (far)
        printf("%u of %u are off by more than a quarter\n", far, n);
}

/* --- rates --- */

static void test_rate(void)
{
    const struct xf_pack_cost text[XF_CODECS] = {
        [XF_CODEC_LZ4] = {0.5, 5e-6}, [XF_CODEC_ZSTD] = {0.3, 15e-6}};
    const struct xf_pack_cost random[XF_CODECS] = {
        [XF_CODEC_LZ4] = {1.02, 5e-6}, [XF_CODEC_ZSTD] = {1.02, 15e-6}};
    double gbit = 125e6, bytes = 0, rate;

    rate = xf_forecast_rate(gbit, XF_COMPRESS_OFF, text, 2, 1e-6, &bytes);
    CU_ASSERT_DOUBLE_EQUAL(rate * bytes, gbit, 1);
    CU_ASSERT(bytes >= 4096 && bytes < 4200);
    rate = xf_forecast_rate(gbit, XF_COMPRESS_AUTO, text, 2, 1e-6, &bytes);
    CU_ASSERT(bytes < 4096 * 0.31); /* the slow link: zstd */
    CU_ASSERT_DOUBLE_EQUAL(rate * bytes, gbit, 1);
    rate = xf_forecast_rate(gbit, XF_COMPRESS_LZ4, text, 2, 1e-6, &bytes);
    CU_ASSERT(bytes > 4096 * 0.49 && bytes < 4096 * 0.52);
    rate = xf_forecast_rate(100 * gbit, XF_COMPRESS_AUTO, text, 2, 1e-7, &bytes);
    CU_ASSERT(bytes > 4000); /* the fast one: compressing would be slower */
    rate = xf_forecast_rate(100 * gbit, XF_COMPRESS_ZSTD, text, 2, 1e-6, &bytes);
    CU_ASSERT_DOUBLE_EQUAL(rate, 2 / 16e-6, 1); /* asked for: by the processors */
    rate = xf_forecast_rate(gbit, XF_COMPRESS_AUTO, random, 2, 1e-6, &bytes);
    CU_ASSERT(bytes > 4000);
    rate = xf_forecast_rate(100 * gbit, XF_COMPRESS_OFF, random, 1, 1e-5, &bytes);
    CU_ASSERT_DOUBLE_EQUAL(rate, 1e5, 1); /* mapping is slower than the link */
    CU_ASSERT(xf_forecast_rate(0, XF_COMPRESS_AUTO, text, 2, 1e-6, &bytes) <= 0);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"idle", test_idle}, {"unknown", test_unknown}, {"post-copy", test_postcopy},
        {"lead", test_lead}, {"played", test_played},   {"rate", test_rate},
        CU_TEST_INFO_NULL};

    return run_suite("forecast", tests);
}
