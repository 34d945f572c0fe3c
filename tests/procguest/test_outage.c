/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The network fails for a while, by a pulled cable or by vanishing packets, and recovers: PULL
 * continues within 10 s of that, whatever TCP has done meanwhile. Times are those of real hosts
 * (libxl-ext/source/move.h, receive_parts.h). All moves of a test run at once, each in a network of
 * its own, since they mostly wait.
 */
#include <stdio.h>
#include <time.h>

#include "tests/procguest/move.h"
#include "tests/procguest/netns.h"
#include "tests/unit/suite.h"
#include "transport/clock.h"

#define GFNS 8192u /* 32 MiB */
#define RECOVERY_S 10.0
#define SOON_S 100.0

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

static bool await_less(struct pg_move *m, uint64_t missing, double until)
{
    while (m->missing >= missing && !m->source.done && xf_now() < until)
        nap();
    return m->missing < missing;
}

static struct pg_move *open_move(const struct pg_netns *net)
{
    struct pg_move *m = pg_move_new(GFNS, 2);

    m->opts.mode = XF_MODE_POSTCOPY;
    m->opts.netns[0] = net->paths[0];
    m->opts.netns[1] = net->paths[1];
    m->opts.addr = PG_SINK_ADDR;
    m->opts.compress.asked = XF_COMPRESS_OFF;
    m->opts.sink_stall_ms = 20000;
    m->src->vcpus[0].work = PG_RANDOM;
    m->src->vcpus[0].rate = 200;
    return m;
}

/* In PULL: seconds from the network's return until the sink has one more page, printed. */
static void in_pull(const struct pg_outage *o, int nr)
{
    struct pg_netns net;
    struct pg_move *m;
    uint64_t before;
    double back;

    CU_ASSERT_FATAL(pg_netns_make(&net, nr));
    /* So that PULL lasts long enough to be cut. */
    CU_ASSERT(pg_netns_shape(&net, "tbf rate 32mbit burst 64k latency 20ms"));
    m = open_move(&net);
    m->missing = UINT64_MAX;
    pg_move_start(m);
    CU_ASSERT_FATAL(await_less(m, GFNS * 7 / 8, xf_now() + SOON_S));
    pg_away(&net, o, true);
    nanosleep(&(struct timespec){.tv_sec = (time_t)o->seconds}, NULL);
    before = m->missing;
    CU_ASSERT_FATAL(before && !m->source.done && !m->sink.done);
    pg_away(&net, o, false);
    back = xf_now();
    CU_ASSERT(await_less(m, before, back + RECOVERY_S));
    printf("\n    %s: pages flow %.2f s after the network's return", o->name, xf_now() - back);
    fflush(stdout);
    CU_ASSERT(pg_move_wait(m));
    CU_ASSERT_EQUAL(m->source.pull, XF_PULL_DONE);
    CU_ASSERT_EQUAL(m->sink.pull, XF_PULL_DONE);
    if (m->source.err.num || m->sink.err.num)
        fprintf(stderr, "source: %s; sink: %s\n", m->source.err.text, m->sink.err.text);
    /* The source's knowledge of it, and its report. */
    CU_ASSERT(!m->source.outage.on);
    if (m->source.outage.nr) {
        CU_ASSERT(m->source.outage.longest_s < o->seconds + RECOVERY_S);
        CU_ASSERT(m->source.outage.recovery_s < RECOVERY_S);
        printf("\n    %s: the source says away %.2f s, pages %.2f s after that", o->name,
               m->source.outage.away_s, m->source.outage.recovery_s);
    }
    CU_ASSERT(o->seconds < 11 || m->source.outage.nr > 0);
    CU_ASSERT_EQUAL(pg_move_check(m, m->dst), 0);
    pg_move_free(m);
    pg_netns_drop(&net);
}

static void test_pull(void)
{
    static const struct pg_outage list[] = {
        {"5 s, packets vanish", 5, true},     {"9 s, packets vanish", 9, true},
        {"20 s, packets vanish", 20, true},   {"120 s, packets vanish", 120, true},
        {"5 s, interface down", 5, false},    {"20 s, interface down", 20, false},
        {"120 s, interface down", 120, false}};

    pg_all_at_once(in_pull, list, sizeof(list) / sizeof(list[0]));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"in PULL, for 5 to 120 s", test_pull},
        CU_TEST_INFO_NULL,
    };

    return run_suite("process guest, the network away for a while", tests);
}
