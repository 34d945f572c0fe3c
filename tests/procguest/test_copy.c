/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pre-copy of a process guest over TCP at native speed: the engine that moves Xen domains,
 * real page tables, a real dirty log, and every byte compared with what the guest wrote.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "tests/procguest/memory.h"
#include "tests/procguest/move.h"
#include "tests/unit/suite.h"
#include "transport/clock.h"

#define GFNS 16384u /* 64 MiB */

static void work(struct pg_move *m, unsigned vcpu, enum pg_work what, unsigned arg, unsigned rate)
{
    m->src->vcpus[vcpu].work = what;
    m->src->vcpus[vcpu].arg = arg;
    m->src->vcpus[vcpu].rate = rate;
}

/* Move it, and let it run for a while where it is afterwards. */
static void moved(struct pg_move *m)
{
    uint64_t before;

    pg_move_start(m);
    CU_ASSERT(pg_move_wait(m));
    CU_ASSERT_EQUAL(m->source.end, XF_SWITCHED);
    CU_ASSERT_EQUAL(m->sink.end, XF_SINK_RUNS);
    CU_ASSERT(pg_stopped(m->src));
    if (m->source.end != XF_SWITCHED)
        fprintf(stderr, "source: %s; sink: %s\n", m->source.err.text, m->sink.err.text);
    before = pg_steps(m->src);
    CU_ASSERT(pg_steps(m->dst) >= before); /* it continued and did not start again */
    CU_ASSERT_EQUAL(pg_move_check(m, m->dst), 0);
    CU_ASSERT_EQUAL(m->src->bad, 0);
    printf("\n    %.0f MiB/s, %u rounds, %llu last pages, downtime %.1f ms ",
           (double)(m->source.sent.data * XF_PAGE_SIZE >> 20) / m->source.copy_s,
           m->source.status.round, (unsigned long long)m->source.times.pages,
           (m->source.times.running - m->source.times.began) * 1e3);
}

static void test_idle(void)
{
    for (unsigned e = 0; e < 2; e++) {
        struct pg_move *m = pg_move_new(GFNS, 1);

        m->opts.encrypt = e;
        moved(m);
        pg_move_free(m);
    }
}

/* Where fresh memory is zeros the sink does nothing for a zero page. In a large page that cannot be
 * seen. */
static void test_fresh(void)
{
    setenv(PG_PAGES_ENV, "small", 1);
    for (unsigned clean = 0; clean < 2; clean++) {
        struct pg_move *m = pg_move_new(GFNS, 1);
        struct stat st = {0};

        m->truth->zero_every = 2;
        m->opts.garbage = !clean;
        m->opts.small = true;
        pg_move_start(m);
        CU_ASSERT(pg_move_wait(m));
        CU_ASSERT_EQUAL(fstat(m->dst->memfd, &st), 0); /* the comparison touches all */
        CU_ASSERT((st.st_blocks * 512 < (off_t)GFNS * XF_PAGE_SIZE * 3 / 4) == clean);
        CU_ASSERT_EQUAL(pg_move_check(m, m->dst), 0);
        pg_move_free(m);
    }
    unsetenv(PG_PAGES_ENV);
}

/* A moved guest has the large pages that it had, as long as no page is absent. */
static void test_large(void)
{
    struct pg_move *m = pg_move_new(GFNS, 1);

    if (!m->src->large) {
        printf(" (no large pages here) ");
        pg_move_free(m);
        return;
    }
    work(m, 0, PG_RANDOM, 0, 2000);
    pg_move_start(m);
    CU_ASSERT(pg_move_wait(m));
    CU_ASSERT_EQUAL(pg_move_check(m, m->dst), 0);
    CU_ASSERT(pg_memory_large(m->src->mem, (uint64_t)GFNS * XF_PAGE_SIZE) >= 0.9);
    CU_ASSERT(pg_memory_large(m->dst->mem, (uint64_t)GFNS * XF_PAGE_SIZE) >= 0.9);
    CU_ASSERT(m->source.status.whole_pages >= GFNS * 9 / 10);
    CU_ASSERT_EQUAL(m->source.status.large_pages, m->source.status.whole_pages);
    pg_move_free(m);
}

static void test_busy(void)
{
    static const enum pg_work works[] = {PG_SEQ, PG_STRIDE, PG_RANDOM, PG_HOT};

    for (unsigned i = 0; i < 4; i++) {
        struct pg_move *m = pg_move_new(GFNS, 2);

        work(m, 0, works[i], works[i] == PG_STRIDE ? 17 : 200, i & 1 ? 20000 : 0);
        work(m, 1, PG_RANDOM, 0, 2000);
        m->opts.channels = 1 + i;
        moved(m);
        pg_move_free(m);
    }
}

/* Pages are added and released while they are copied. */
static void test_balloon(void)
{
    for (unsigned clean = 0; clean < 2; clean++) {
        struct pg_move *m = pg_move_new(GFNS, 2);

        work(m, 0, PG_BALLOON, 0, 3000);
        work(m, 1, PG_HOT, 100, 0);
        m->truth->zero_every = clean ? 2 : m->truth->zero_every;
        m->opts.garbage = !clean;
        m->opts.policy.max_downtime_s = 0; /* all rounds are used */
        moved(m);
        pg_stop(m->dst);
        CU_ASSERT(m->dst->pages < GFNS);
        pg_move_free(m);
    }
}

/* The same with the dirty log of older kernels. */
static void test_sync_log(void)
{
    struct pg_move *m = pg_move_new(GFNS, 1);

    setenv(PG_SYNC_LOG_ENV, "1", 1);
    moved(m);
    CU_ASSERT_TRUE(m->src->log.sync);
    CU_ASSERT_FALSE(m->dst->log.sync);
    pg_move_free(m);
    test_busy();
    test_balloon();
    unsetenv(PG_SYNC_LOG_ENV);
}

/* The comparison finds differences. */
static void test_check(void)
{
    struct pg_move *m = pg_move_new(1024, 1);

    pg_move_fill(m);
    CU_ASSERT_EQUAL(pg_check(m->src, NULL, NULL, 0), 0);
    m->src->mem[17 * XF_PAGE_SIZE + 4095] ^= 1;
    m->truth->version[23]++;
    CU_ASSERT_EQUAL(pg_check(m->src, NULL, NULL, 0), 2);
    CU_ASSERT_EQUAL(pg_check(m->src, NULL, (uint64_t[]){17}, 1), 1);
    m->src->vcpus[0].work = PG_SEQ;
    m->src->vcpus[0].reads = 1;
    pg_start(m->src, false);
    pg_run(m->src);
    while (m->src->bad < 2)
        ;
    pg_stop(m->src);
    CU_ASSERT(m->src->bad >= 2);
    CU_ASSERT(pg_move_check(m, m->src) > 2);
    pg_move_free(m);
}

/* The guest ends in the first round of a COPY of half a minute: both engines end within a second
 * or two, and it is not asked to suspend. */
static void test_ends(void)
{
    for (unsigned mode = XF_MODE_PRECOPY; mode <= XF_MODE_HYBRID; mode++) {
        struct pg_move *m = pg_move_new(GFNS, 2);
        uint64_t began;

        work(m, 0, PG_RANDOM, 0, 500);
        m->opts.mode = mode;
        m->opts.bandwidth = 2 << 20;
        pg_move_fill(m);
        pg_move_start(m);
        while (!m->copying)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        began = xf_now_ns();
        pg_kill(m->src);
        CU_ASSERT(pg_move_wait(m));
        CU_ASSERT(xf_now_ns() - began < 3000000000);
        CU_ASSERT_EQUAL(m->source.end, XF_SWITCH_BACK);
        CU_ASSERT_EQUAL(m->source.err.num, ESRCH); /* its memory is gone before its process is */
        CU_ASSERT_EQUAL(m->source.times.began, 0);
        CU_ASSERT(m->sink.end == XF_SINK_ABORTED && !m->committed);
        pg_move_free(m);
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"the truth is told from what is not", test_check},
        {"an idle guest moves", test_idle},
        {"a busy guest moves", test_busy},
        {"fresh memory that is zeros", test_fresh},
        {"large pages stay", test_large},
        {"a ballooning guest moves", test_balloon},
        {"a guest that ends in COPY", test_ends},
        {"guests whose writes are logged synchronously move", test_sync_log},
        CU_TEST_INFO_NULL,
    };

    return run_suite("process guest, pre-copy", tests);
}
