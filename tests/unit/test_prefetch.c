/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pure parts of PULL: the order of pushes (prefetch.h), how much may be on its way
 * (window.h), and times (times.h).
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postcopy/prefetch.h"
#include "postcopy/server.h"
#include "postcopy/times.h"
#include "postcopy/window.h"
#include "tests/unit/suite.h"

#define GFNS 100003u
#define MAX 64u

static struct xf_prefetch p;
static uint64_t gfns[1024];

/* Every page but those of which n % hole == 0 (0: every page) is left. */
static void open_all(unsigned hole)
{
    CU_ASSERT_FATAL(xf_prefetch_init(&p, GFNS) == 0);
    for (uint64_t g = 0; g < GFNS; g++)
        if (!hole || g % hole)
            xf_set(p.left, g);
    p.nr_left = xf_bitmap_count(p.left, GFNS);
}

/* The next pages, checked for what always holds. */
static unsigned next(unsigned max)
{
    uint64_t before = p.nr_left;
    unsigned n = xf_prefetch_next(&p, gfns, max);

    CU_ASSERT(n <= max && (n || !before));
    CU_ASSERT(p.nr_left == before - n);
    for (unsigned i = 0; i < n; i++) {
        CU_ASSERT(gfns[i] < GFNS && !xf_bit(p.left, gfns[i]));
        CU_ASSERT(!i || gfns[i] > gfns[i - 1]);
    }
    return n;
}

static bool given(uint64_t gfn, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (gfns[i] == gfn)
            return true;
    return false;
}

static void test_linear(void)
{
    uint64_t expect = 1, total = 0;
    unsigned n;

    open_all(5);
    while ((n = next(MAX)) > 0) {
        for (unsigned i = 0; i < n; i++, expect++) {
            expect += expect % 5 == 0;
            CU_ASSERT(gfns[i] == expect);
        }
        total += n;
    }
    CU_ASSERT(total == GFNS - (GFNS + 4) / 5 && p.nr_left == 0);
    CU_ASSERT(next(MAX) == 0);
    xf_prefetch_free(&p);
}

/* Around the fault first, more above it than below, and all pages in the end, each once. */
static void test_bubble(void)
{
    uint64_t total = 1, lo = 50000, hi = 50000;
    unsigned n;

    open_all(0);
    xf_prefetch_fault(&p, 50000);
    CU_ASSERT(!xf_bit(p.left, 50000) && p.nr_left == GFNS - 1);
    n = next(MAX);
    CU_ASSERT(n == 16 && given(50001, n) && given(49999, n));
    total += n;
    for (unsigned i = 0; i < 10; i++) {
        n = next(MAX);
        total += n;
        for (unsigned k = 0; k < n; k++) {
            lo = gfns[k] < lo ? gfns[k] : lo;
            hi = gfns[k] > hi ? gfns[k] : hi;
        }
    }
    CU_ASSERT(hi - lo + 1 == total); /* without gaps */
    CU_ASSERT(hi - 50000 > 2 * (50000 - lo) && 50000 > lo);
    while ((n = next(MAX)) > 0)
        total += n;
    CU_ASSERT(total == GFNS && p.nr_left == 0);
    xf_prefetch_free(&p);
}

/* Two places of work share the line; a third fault is served before either goes on. */
static void test_several(void)
{
    unsigned near[2] = {0, 0};

    open_all(0);
    xf_prefetch_fault(&p, 20000);
    xf_prefetch_fault(&p, 80000);
    for (unsigned i = 0; i < 40; i++) {
        unsigned n = next(MAX);

        near[gfns[0] > 50000] += n;
    }
    CU_ASSERT(near[0] > 500 && near[1] > 500 && near[0] < 2 * near[1] && near[1] < 2 * near[0]);
    xf_prefetch_fault(&p, 40000);
    CU_ASSERT(given(40001, next(MAX)));
    xf_prefetch_free(&p);
}

static void test_ends(void)
{
    open_all(0);
    xf_prefetch_fault(&p, 0);
    CU_ASSERT(given(1, next(MAX)));
    xf_prefetch_fault(&p, GFNS - 1);
    CU_ASSERT(given(GFNS - 2, next(MAX)));
    while (next(MAX))
        ;
    xf_prefetch_fault(&p, 7); /* nothing is left, and that is no harm */
    CU_ASSERT(next(MAX) == 0);
    xf_prefetch_free(&p);
}

/* More places than there are bubbles: the oldest goes. */
static void test_many(void)
{
    open_all(0);
    for (uint64_t i = 0; i < 3 * XF_BUBBLES; i++)
        xf_prefetch_fault(&p, i * 4000);
    CU_ASSERT(p.nr == XF_BUBBLES);
    CU_ASSERT(given(4000 * (3 * XF_BUBBLES - 1) + 1, next(MAX)));
    xf_prefetch_free(&p);
}

/* Every 100th page, up or down: the next ones of them come first. */
static void test_stride(void)
{
    static const int64_t strides[] = {100, -100, 16, 2};

    for (unsigned s = 0; s < 4; s++) {
        uint64_t at = 50000;
        unsigned n;

        open_all(0);
        for (unsigned i = 0; i < 3; i++, at += (uint64_t)strides[s])
            xf_prefetch_fault(&p, at);
        n = next(MAX);
        for (unsigned i = 0; i < 8; i++)
            CU_ASSERT(given(at + (uint64_t)(strides[s] * (int64_t)i), n));
        xf_prefetch_free(&p);
    }
}

/*
 * A guest that walks through its memory while `speed` pages are pushed for each one it
 * touches. Returns the part of the pages it touched that it had to ask for.
 */
static double walk(uint64_t stride, unsigned touches, bool linear)
{
    uint64_t at = 60000;
    unsigned faults = 0;

    open_all(0);
    p.linear = linear;
    for (unsigned i = 0; i < touches; i++) {
        if (xf_bit(p.left, at)) {
            faults++;
            xf_prefetch_fault(&p, at);
            next(MAX); /* what goes out while the answer is on its way */
        }
        if (i % 8 == 0)
            next(MAX);
        at = (at + stride) % GFNS;
    }
    xf_prefetch_free(&p);
    return (double)faults / touches;
}

static void test_share(void)
{
    double seq = walk(1, 5000, false), plain = walk(1, 5000, true), far = walk(37, 2000, false);

    printf("\n    asked for: sequential %.2f%% (linear push %.0f%%), strided %.1f%% ", 100 * seq,
           100 * plain, 100 * far);
    CU_ASSERT(seq <= 0.05);
    CU_ASSERT(plain > 0.1); /* so the bubble it was */
    CU_ASSERT(far <= 0.3);
}

/* --- the test switch XENFERRY_PULL --- */

static void test_switch(void)
{
    static const struct {
        const char *words;
        bool linear;
        int quiet_ms;
    } good[] = {{"", false, 7},
                {"linear", true, 7},
                {"no-push", false, 30000},
                {"no-push=1", false, 1000},
                {"no-push=3600", false, 3600000},
                {"linear,no-push=5", true, 5000},
                {"no-push=5,linear,", true, 5000}};
    static const char *const bad[] = {"linea",
                                      "linearly",
                                      "no-push=",
                                      "no-push=0",
                                      "no-push=3601",
                                      "no-push=-1",
                                      "no-push= 1",
                                      "no-push=5s",
                                      "no-pushing",
                                      ",linear",
                                      "no-push=99999999999999999999",
                                      "linear;no-push"};
    struct xf_server_opts o;
    struct xf_err err = {0};

    o = (struct xf_server_opts){.silence_ms = 9, .quiet_ms = 7};
    CU_ASSERT(xf_server_opts_words(NULL, &o, &err) == 0 && o.silence_ms == 9 && o.quiet_ms == 7);
    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        o = (struct xf_server_opts){.silence_ms = 9, .quiet_ms = 7};
        CU_ASSERT_EQUAL(xf_server_opts_words(good[i].words, &o, &err), 0);
        CU_ASSERT(o.silence_ms == 9 && o.linear == good[i].linear);
        CU_ASSERT_EQUAL(o.quiet_ms, good[i].quiet_ms);
    }
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        xf_clear(&err);
        CU_ASSERT(xf_server_opts_words(bad[i], &o, &err) < 0 && err.num == EINVAL);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "unset it"));
    }
}

/* --- window --- */

/* A peer whose processor has other work looks at what has come now and then. */
static double next_look(double t)
{
    static const double looks[] = {0, 0.005, 0.025, 0.105, 0.2};
    double period = floor(t / 0.2) * 0.2;
    unsigned i = 0;

    while (period + looks[i] < t)
        i++;
    return period + looks[i];
}

/*
 * A path of so many bytes per second and seconds one way, to a peer that is busy or not: what
 * the window makes of it. told: the transport says what the network holds. late: two pushes of
 * three arrive so many seconds later.
 */
static double drive(double rate, double delay, double late, bool busy, bool told, double *rtt_worst)
{
    struct xf_window w;
    double now = 0, free_at = 0, arrive[XF_WINDOW_BATCHES] = {0}, there[XF_WINDOW_BATCHES] = {0};
    uint64_t sizes[XF_WINDOW_BATCHES] = {0};
    unsigned head = 0, nr = 0, sent = 0;
    uint64_t taken = 0;
    double last = 0;

    xf_window_init(&w);
    *rtt_worst = 0;
    while (now < 2) {
        uint64_t in_network = told ? 0 : XF_WINDOW_UNKNOWN;
        uint64_t batch = (uint64_t)xf_window_push(&w) * XF_PAGE_SIZE;

        for (unsigned i = 0; told && i < nr; i++) {
            unsigned k = (head + i) % XF_WINDOW_BATCHES;

            in_network += there[k] > now ? sizes[k] : 0;
        }
        if (xf_window_room(&w, batch, in_network)) {
            double start = free_at > now ? free_at : now, looks;

            xf_window_sent(&w, batch, now);
            free_at = start + (double)batch / rate;
            looks = free_at + delay + (sent++ % 3 ? late : 0);
            last = looks = looks > last ? looks : last; /* none overtakes another */
            if (busy)
                looks = next_look(looks);
            sizes[(head + nr) % XF_WINDOW_BATCHES] = batch;
            there[(head + nr) % XF_WINDOW_BATCHES] = free_at + 2 * delay; /* acknowledged */
            arrive[(head + nr++) % XF_WINDOW_BATCHES] = looks + delay;
            if (now > 1 && free_at - now > *rtt_worst)
                *rtt_worst = free_at - now;
            continue;
        }
        now = arrive[head];
        taken += sizes[head];
        head = (head + 1) % XF_WINDOW_BATCHES;
        nr--;
        CU_ASSERT(xf_window_taken(&w, now));
    }
    return (double)taken / now / rate;
}

static void test_window(void)
{
    static const struct {
        double rate, delay;
    } paths[] = {{125e6, 0.0005}, {125e6, 0.00005}, {1.25e9, 0.0001}, {4e9, 0.00002}, {1e6, 0.01}};

    for (unsigned k = 0; k < 10; k++) {
        unsigned i = k / 2;
        double queued;
        double part = drive(paths[i].rate, paths[i].delay, 0, false, k & 1, &queued);

        /* Nine tenths of the line at least, and no more than some batches wait in it. */
        CU_ASSERT(part > 0.9);
        CU_ASSERT(queued * paths[i].rate <= (6 * 64 << 10));
        if (part <= 0.9 || queued * paths[i].rate > (6 * 64 << 10))
            fprintf(stderr, "path %u: %.2f of the rate, %.0f KiB queued\n", i, part,
                    queued * paths[i].rate / 1024);
    }
}

/* A path that is not even: a window that keeps the rate small keeps itself small. */
static void test_window_uneven(void)
{
    double queued;

    for (int told = 0; told < 2; told++) {
        CU_ASSERT(drive(60e6, 0.0005, 0.0015, false, told, &queued) > 0.85);
        CU_ASSERT(queued * 60e6 <= (4 * 64 << 10));
    }
}

/* A fast network to a machine that is busy with other things: what the network holds stays
 * little, and more goes over it than to a network of which nothing is known. */
static void test_window_busy(void)
{
    double queued, part = drive(125e6, 0.0002, 0, true, true, &queued);
    double blind_queued, blind = drive(125e6, 0.0002, 0, true, false, &blind_queued);

    CU_ASSERT(queued * 125e6 <= (6 * 64 << 10));
    CU_ASSERT(part >= 1.5 * blind);
    if (part < 1.5 * blind || queued * 125e6 > (6 * 64 << 10))
        fprintf(stderr, "%.1f MB/s, %.1f without knowing the network; %.0f KiB queued\n",
                part * 125, blind * 125, queued * 125e6 / 1024);
}

/* What may lie in the queues of a slow path: little, and as much as ever once it is fast. */
static void test_window_slack(void)
{
    struct xf_window w;

    for (unsigned fast = 0; fast < 2; fast++) {
        xf_window_init(&w);
        CU_ASSERT_EQUAL(xf_window_slack(&w), 0); /* nothing is known */
        for (unsigned i = 1; i < 50; i++) {
            xf_window_sent(&w, 64 << 10, i);
            CU_ASSERT(xf_window_taken(&w, i + (fast ? 0.0005 : 0.05))); /* 131 and 1.3 MB/s */
        }
        if (fast) {
            CU_ASSERT_EQUAL(xf_window_slack(&w), 0);
            continue;
        }
        CU_ASSERT(xf_window_slack(&w) > 0 && xf_window_slack(&w) <= 32 << 10);
        xf_window_sent(&w, 64 << 10, 60);
        CU_ASSERT(xf_window_taken(&w, 60.01)); /* 6.5 MB/s */
        CU_ASSERT(xf_window_slack(&w) > 32 << 10 && xf_window_slack(&w) < 64 << 10);
        xf_window_sent(&w, 64 << 10, 61);
        CU_ASSERT(xf_window_taken(&w, 61.0005));
        CU_ASSERT_EQUAL(xf_window_slack(&w), XF_WINDOW_ANY);
    }
}

static void test_window_edges(void)
{
    struct xf_window w;

    xf_window_init(&w);
    CU_ASSERT_FALSE(xf_window_taken(&w, 1)); /* a peer that takes what was not sent */
    CU_ASSERT(xf_window_room(&w, UINT32_MAX, XF_WINDOW_UNKNOWN)); /* a first one always goes */
    for (unsigned i = 0; i < XF_WINDOW_BATCHES; i++)
        xf_window_sent(&w, 1, 0);
    CU_ASSERT_FALSE(xf_window_room(&w, 1, 0)); /* as many as can be remembered */
    for (unsigned i = 0; i < XF_WINDOW_BATCHES; i++)
        CU_ASSERT(xf_window_taken(&w, 0)); /* in no time at all */
    CU_ASSERT(w.in_flight == 0 && !xf_window_taken(&w, 0));

    /* a quarter of what the path holds, within bounds */
    w.limit = 0;
    CU_ASSERT_EQUAL(xf_window_push(&w), XF_PUSH_MIN); /* nothing was taken in any time */
    xf_window_sent(&w, 1 << 20, 1);
    CU_ASSERT(xf_window_taken(&w, 1.001));
    w.limit = 0;
    CU_ASSERT_EQUAL(xf_window_push(&w), XF_PUSH_FULL); /* of a fast path */
    w.limit = 4ull * 100 * 4096;
    CU_ASSERT_EQUAL(xf_window_push(&w), 100);
    w.limit = UINT64_MAX;
    CU_ASSERT_EQUAL(xf_window_push(&w), XF_PUSH_MAX);
}

/* --- times --- */

static void test_times(void)
{
    static struct xf_times t;

    CU_ASSERT(xf_times_part(&t, 0.5) == 0 && xf_times_mean(&t) == 0);
    for (uint64_t ns = 1; ns <= 100000; ns++)
        xf_times_add(&t, ns);
    CU_ASSERT(t.n == 100000 && t.max == 100000 && xf_times_mean(&t) == 50000);
    CU_ASSERT(xf_times_part(&t, 0.5) >= 50000 && xf_times_part(&t, 0.5) <= 56250);
    CU_ASSERT(xf_times_part(&t, 0.99) >= 99000 && xf_times_part(&t, 0.99) <= 100000);
    CU_ASSERT(xf_times_part(&t, 1) == 100000 && xf_times_part(&t, 0) == 1);
    /* 1 to 100000 ns: below 2 us, then by powers of two. */
    CU_ASSERT(t.latency[0] == 1999 && t.latency[1] == 2000 && t.latency[2] == 4000);
    CU_ASSERT(t.latency[6] == 100000 - 63999 && t.latency[7] == 0);
    memset(&t, 0, sizeof(t));
    xf_times_add(&t, UINT64_MAX);
    xf_times_add(&t, 0);
    CU_ASSERT(t.latency[0] == 1 && t.latency[XF_LATENCY_BUCKETS - 1] == 1);
    CU_ASSERT(xf_times_part(&t, 0.5) == 0 && xf_times_part(&t, 1) == UINT64_MAX);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"no faults: linear", test_linear},
        {"one bubble", test_bubble},
        {"several bubbles", test_several},
        {"both ends of memory", test_ends},
        {"more faults than bubbles", test_many},
        {"strides", test_stride},
        {"what is asked for", test_share},
        {"XENFERRY_PULL", test_switch},
        {"window: full line, short queue", test_window},
        {"a window over an uneven path", test_window_uneven},
        {"a window to a machine that is busy", test_window_busy},
        {"window: a slow path", test_window_slack},
        {"window: edges", test_window_edges},
        {"times", test_times},
        CU_TEST_INFO_NULL,
    };

    return run_suite("post-copy logic", tests);
}
