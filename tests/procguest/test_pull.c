/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Post-copy and hybrid moves of a process guest: it runs at the sink while its memory is still at
 * the source, and every byte is compared when all of it has arrived.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/procguest/move.h"
#include "tests/unit/suite.h"

#define GFNS 16384u /* 64 MiB */

static struct pg_move *m;

static void open_move(enum xf_mode mode)
{
    m = pg_move_new(GFNS, 2);
    m->opts.mode = mode;
}

static void work(unsigned vcpu, enum pg_work what, unsigned arg, unsigned rate)
{
    m->src->vcpus[vcpu].work = what;
    m->src->vcpus[vcpu].arg = arg;
    m->src->vcpus[vcpu].rate = rate;
}

/* Everything went well: nothing is missing, nothing lost, and both sides know. */
static void arrived(void)
{
    CU_ASSERT_EQUAL(m->source.end, XF_SWITCHED);
    CU_ASSERT_EQUAL(m->sink.end, XF_SINK_RUNS);
    if (m->source.pulled) {
        CU_ASSERT_EQUAL(m->source.pull, XF_PULL_DONE);
        CU_ASSERT(m->sink.pulled && m->sink.pull == XF_PULL_DONE);
        CU_ASSERT_EQUAL(m->sink.status.missing, 0);
        /* The source knows what it cost, and that the network was released before the end. */
        CU_ASSERT_EQUAL(m->source.told.missing, 0);
        CU_ASSERT_EQUAL(m->source.told.held_ns, PG_HELD_NS);
        CU_ASSERT(m->source.told.evict.pages >= m->source.left_out && m->source.told.evict.ns);
        CU_ASSERT(m->source.told.populate.pages <= m->source.told.evict.pages);
        CU_ASSERT(m->source.told.prep.pages && m->source.told.prep.ns);
        CU_ASSERT(m->source.told.copy.pages && m->source.told.copy.ns);
        CU_ASSERT(m->source.told.copy.pages <= m->source.map.pages);
        /* The last batch may have been sent, and its answer lost to the end. */
        CU_ASSERT(m->source.map.pages >= m->source.pushed + m->source.answered);
        CU_ASSERT(m->source.map.pages == m->source.copy.pages && m->source.copy.ns);
    }
    if (m->source.err.num || m->sink.err.num)
        fprintf(stderr, "source: %s; sink: %s\n", m->source.err.text, m->sink.err.text);
    CU_ASSERT(m->source.err.num == 0 && m->sink.err.num == 0);
    CU_ASSERT(pg_stopped(m->src));
    CU_ASSERT_EQUAL(pg_move_check(m, m->dst), 0);
    CU_ASSERT_EQUAL(m->src->bad, 0);
}

static void tell(const char *name)
{
    printf("\n    %-22s left out %5llu, pushed %5llu, asked for %4llu of %4llu, "
           "median %.0f us, p99 %.0f us, downtime %.1f ms, PULL %.0f ms ",
           name, (unsigned long long)m->source.left_out, (unsigned long long)m->source.pushed,
           (unsigned long long)m->sink.status.requested, (unsigned long long)m->sink.status.faults,
           (double)m->sink.status.median_ns / 1e3, (double)m->sink.status.p99_ns / 1e3,
           (m->source.times.running - m->source.times.began) * 1e3, m->source.pull_s * 1e3);
}

static void move_it(const char *name)
{
    pg_move_start(m);
    CU_ASSERT(pg_move_wait(m));
    arrived();
    tell(name);
}

static void test_idle(void)
{
    for (unsigned e = 0; e < 2; e++) {
        open_move(XF_MODE_POSTCOPY);
        m->opts.encrypt = e;
        move_it(e ? "idle, TLS" : "idle");
        CU_ASSERT(m->source.pulled);
        /* Everything but the rings, the hole, zero pages (a seventh of the filled ones), and
         * pages written as it stopped. */
        CU_ASSERT(m->source.left_out > GFNS * 3 / 4);
        CU_ASSERT(m->source.sent.zero > GFNS / 10);
        CU_ASSERT(m->source.left_out <= GFNS - GFNS / 16 - 2);
        pg_move_free(m);
    }
}

static void test_postcopy(void)
{
    static const struct {
        const char *name;
        enum pg_work work;
        unsigned arg;
    } works[] = {{"sequential", PG_SEQ, 0},
                 {"strided", PG_STRIDE, 16},
                 {"random", PG_RANDOM, 0},
                 {"hot set", PG_HOT, 300}};

    for (unsigned i = 0; i < 4; i++) {
        open_move(XF_MODE_POSTCOPY);
        m->opts.channels = 1 + i;
        m->opts.encrypt = i & 1;
        work(0, works[i].work, works[i].arg, 0);
        work(1, PG_RANDOM, 0, 3000);
        move_it(works[i].name);
        CU_ASSERT(m->source.pulled && m->source.left_out > GFNS / 2);
        CU_ASSERT(m->sink.status.faults > 0);
        CU_ASSERT(m->sink.status.requested <= m->sink.status.faults);
        pg_move_free(m);
    }
}

/* Nothing is pushed at first: only requested pages are sent, and then all the rest. */
static void test_quiet(void)
{
    open_move(XF_MODE_POSTCOPY);
    m->opts.quiet_ms = 400;
    work(0, PG_RANDOM, 0, 500);
    move_it("quiet at first");
    CU_ASSERT(m->source.pulled && m->source.pull_s >= 0.4);
    CU_ASSERT(m->sink.status.requested > 0 && m->source.pushed > 0);
    pg_move_free(m);
}

/* Where the link is known to be slow, pushing waits in the guest's first moments, but not for
 * long. */
static void test_calm(void)
{
    open_move(XF_MODE_POSTCOPY);
    m->opts.page_rate = 10; /* pushing would take minutes */
    work(0, PG_RANDOM, 0, 500);
    move_it("calm at first");
    CU_ASSERT(m->source.pulled && m->source.pull_s >= 1.0 && m->source.pushed > 0);
    pg_move_free(m);
}

/* A guest that writes all its pages, all the time: COPY does not pay. */
static void test_hybrid(void)
{
    open_move(XF_MODE_HYBRID);
    m->opts.policy.max_downtime_s = 0.001;
    m->opts.relayed = true; /* a guest whose log is synchronous is slower than memory */
    m->opts.relay_rate = 32u << 20;
    work(0, PG_SEQ, 0, 0);
    work(1, PG_RANDOM, 0, 0);
    move_it("hybrid");
    CU_ASSERT(m->source.pulled && m->source.left_out > 0);
    CU_ASSERT(m->source.status.round >= 1);
    pg_move_free(m);
}

/* A guest that COPY can follow: nothing is left out, and nothing waits. */
static void test_hybrid_converges(void)
{
    open_move(XF_MODE_HYBRID);
    m->opts.policy.max_downtime_s = 5;
    work(0, PG_HOT, 100, 1000);
    move_it("hybrid, converges");
    CU_ASSERT_FALSE(m->source.pulled);
    CU_ASSERT_EQUAL(m->source.status.reason, XF_SWITCH_SHORT);
    CU_ASSERT_EQUAL(m->source.left_out, 0);
    pg_move_free(m);
}

/* A guest that writes much faster than the link carries: COPY ends within its first round, before
 * much of the memory was sent in vain. */
static void test_fast_writer(void)
{
    uint64_t memory;

    m = pg_move_new(2 * GFNS, 2);
    m->opts.mode = XF_MODE_HYBRID;
    m->opts.compress.asked = XF_COMPRESS_OFF;
    m->opts.relayed = true;
    m->opts.relay_rate = 16 << 20; /* of each channel: 8192 pages per second together */
    work(0, PG_RANDOM, 0, 12000);
    work(1, PG_RANDOM, 0, 12000);
    move_it("faster than the link");
    memory = m->src->pages * XF_PAGE_SIZE;
    printf("sent %.2f x memory, %u rounds ", (double)m->source.wire_bytes / (double)memory,
           m->source.status.round);
    CU_ASSERT_EQUAL(m->source.status.reason, XF_SWITCH_NOT_PAYING);
    CU_ASSERT_EQUAL(m->source.status.round, 1);
    CU_ASSERT(m->source.pulled && m->source.left_out > GFNS);
    /* After how many pages depends on the machine's load; test_rounds holds the decision itself. */
    CU_ASSERT(m->source.sent.data < m->src->pages);
    CU_ASSERT(m->source.wire_bytes < 2 * memory);
    pg_move_free(m);
}

/* Pages are added and released, before the switch and after: also absent ones. */
static void test_balloon(void)
{
    for (unsigned i = 0; i < 2; i++) {
        open_move(i ? XF_MODE_HYBRID : XF_MODE_POSTCOPY);
        m->opts.policy.max_downtime_s = 0;
        m->opts.policy.max_rounds = 2;
        work(0, PG_BALLOON, 0, 0);
        work(1, PG_RANDOM, 0, 2000);
        move_it(i ? "balloon, hybrid" : "balloon");
        CU_ASSERT(m->source.pulled);
        pg_move_free(m);
    }
}

/* With the dirty log of older kernels. */
static void test_sync_log(void)
{
    setenv(PG_SYNC_LOG_ENV, "1", 1);
    test_hybrid();
    test_balloon();
    unsetenv(PG_SYNC_LOG_ENV);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"an idle guest, post-copy", test_idle},
        {"busy guests, post-copy", test_postcopy},
        {"nothing is pushed at first", test_quiet},
        {"calm at first where the link is slow", test_calm},
        {"a guest that COPY cannot follow, hybrid", test_hybrid},
        {"a guest that COPY can follow, hybrid", test_hybrid_converges},
        {"a guest that writes faster than the link", test_fast_writer},
        {"a ballooning guest", test_balloon},
        {"writes that are logged synchronously", test_sync_log},
        CU_TEST_INFO_NULL,
    };

    return run_suite("process guest, post-copy", tests);
}
