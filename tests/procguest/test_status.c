/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests to a running move: its status, and to switch to post-copy at once, in the middle of a
 * round. Every byte is compared when all of it has arrived.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/moves/status.h"
#include "tests/procguest/move.h"
#include "tests/procguest/uffd.h"
#include "tests/unit/suite.h"
#include "transport/clock.h"

#define GFNS 8192u /* 32 MiB */
#define SOON_NS 20000000000ull

static struct pg_move *m;
static struct xf_status source, sink; /* current ones; all zero: not found */

static void look(void)
{
    struct xf_status_list all;

    source = sink = (struct xf_status){0}; /* nothing of a move before */
    if (!xf_statuses(&all, NULL))
        for (unsigned i = 0; i < all.nr; i++)
            *(all.list[i].source ? &source : &sink) = all.list[i];
    xf_statuses_free(&all);
}

#define EVENTUALLY(cond)                                                                           \
    ({                                                                                             \
        uint64_t end_ = xf_now_ns() + SOON_NS;                                                     \
        while (look(), !(cond) && xf_now_ns() < end_)                                              \
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);                               \
        (bool)(cond);                                                                              \
    })

/* So slow that a round does not end on its own before the request. */
static void open_move(enum xf_mode mode)
{
    m = pg_move_new(GFNS, 2);
    m->opts.mode = mode;
    m->opts.told = true;
    m->opts.relayed = true;
    m->opts.relay_rate = m->opts.pull_rate = 1u << 20;
    m->opts.policy.max_downtime_s = 0;
    m->src->vcpus[0].work = PG_RANDOM;
    m->src->vcpus[1].work = PG_SEQ;
    m->src->vcpus[1].rate = 5000;
}

static void arrived(void)
{
    CU_ASSERT(pg_move_wait(m));
    CU_ASSERT_EQUAL(m->source.end, XF_SWITCHED);
    CU_ASSERT_EQUAL(m->source.pull, XF_PULL_DONE);
    CU_ASSERT_EQUAL(m->sink.pull, XF_PULL_DONE);
    if (m->source.err.num || m->sink.err.num)
        fprintf(stderr, "source: %s; sink: %s\n", m->source.err.text, m->sink.err.text);
    CU_ASSERT(pg_stopped(m->src));
    CU_ASSERT_EQUAL(pg_move_check(m, m->dst), 0);
    CU_ASSERT_EQUAL(m->src->bad, 0);
}

/* Both sides report PULL; then they are gone. */
static void seen_in_pull(void)
{
    CU_ASSERT(EVENTUALLY(m->pulling)); /* SWITCH has a deadline, PULL has none */
    CU_ASSERT(EVENTUALLY(source.phase == XF_PHASE_PULL && sink.phase == XF_PHASE_PULL &&
                         sink.faults > 0 && sink.missing > 0 && sink.missing < source.left_out));
    CU_ASSERT(source.left_out <= GFNS && source.missing <= source.left_out);
    CU_ASSERT(
        EVENTUALLY(source.requested > 0)); /* as reported by the sink on the control channel */
    m->relay->rate = 0;
    arrived();
    look();
    CU_ASSERT(!source.pid && !sink.pid);
}

static void test_asked(void)
{
    struct xf_err err = {0};

    for (unsigned late = 0; late < 2; late++) {
        open_move(XF_MODE_HYBRID);
        m->opts.channels = 1 + late;
        m->opts.encrypt = late;
        if (late) { /* a guest that writes little, or the policy would end the round first */
            m->opts.relay_rate = 2u << 20;
            m->src->vcpus[0].rate = m->src->vcpus[1].rate = 100;
        }
        pg_move_start(m);
        /* When almost nothing has been sent, or much. */
        CU_ASSERT(EVENTUALLY(source.round >= 1 && source.round_done > (late ? GFNS / 4 : 0)));
        m->relay->rate = 1u << 20;
        CU_ASSERT_EQUAL(source.phase, XF_PHASE_COPY);
        CU_ASSERT_EQUAL(xf_ask_postcopy(PG_NAME, &err), 0);
        if (err.num)
            fprintf(stderr, "%s\n", err.text);
        m->relay->rate = 64u << 20;
        seen_in_pull();
        CU_ASSERT_EQUAL(m->source.status.reason, XF_SWITCH_ASKED);
        CU_ASSERT(m->source.left_out > (late ? GFNS / 8 : GFNS / 2));
        printf("\n    left out %llu of %u, round %u ", (unsigned long long)m->source.left_out, GFNS,
               m->source.status.round);
        pg_move_free(m);
    }
}

/* The switch does not wait for a batch that waits under a bandwidth limit. */
static void test_asked_under_limit(void)
{
    open_move(XF_MODE_HYBRID);
    m->opts.relay_rate = 64u << 20;
    m->opts.bandwidth = 64u << 10;       /* a batch takes a minute */
    m->opts.policy.max_downtime_s = 1e6; /* so that the policy does not end the round */
    pg_move_start(m);
    CU_ASSERT(EVENTUALLY(source.round == 1));
    CU_ASSERT_EQUAL(xf_ask_postcopy("1", NULL), 0);
    seen_in_pull();
    CU_ASSERT_EQUAL(m->source.status.reason, XF_SWITCH_ASKED);
    pg_move_free(m);
}

/* Too late, or of the wrong kind: refused, and the move goes on as it would have. */
static void test_refused(void)
{
    struct xf_err err = {0};

    open_move(XF_MODE_POSTCOPY);
    m->opts.relay_rate = 64u << 20;
    pg_move_start(m);
    CU_ASSERT(EVENTUALLY(m->pulling));
    CU_ASSERT_EQUAL(xf_ask_postcopy(PG_NAME, &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text, "it cannot be switched");
    seen_in_pull();
    CU_ASSERT_EQUAL(m->source.status.reason, XF_SWITCH_AT_ONCE);
    pg_move_free(m);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_ask_postcopy(PG_NAME, &err), -1);
    CU_ASSERT_EQUAL(err.num, ESRCH);
}

/* The engine of the sink is killed in PULL: its socket is removed at the next look. */
static void test_killed(void)
{
    open_move(XF_MODE_POSTCOPY);
    m->opts.relay_rate = 4u << 20;
    pg_move_start(m);
    CU_ASSERT(EVENTUALLY(source.phase == XF_PHASE_PULL && sink.phase == XF_PHASE_PULL));
    pg_move_kill_sink(m);
    look();
    CU_ASSERT(!sink.pid && source.pid);
    pg_move_kill_source(m);
    look();
    CU_ASSERT(!sink.pid && !source.pid);
    pg_move_free(m);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"asked to switch in the middle of a round", test_asked},
        {"asked to switch under a bandwidth limit", test_asked_under_limit},
        {"asked too late", test_refused},
        {"the engines are killed", test_killed},
        CU_TEST_INFO_NULL,
    };
    char dir[] = "/tmp/xf-pg-status-XXXXXX";
    int rc = uffd_skip();

    if (rc)
        return rc;
    if (!mkdtemp(dir) || setenv(XF_RUN_DIR_ENV, dir, 1))
        return 2;
    rc = run_suite("process guest, asked from outside", tests);
    rmdir(dir);
    return rc;
}
