/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Moves of a process guest over a network of its own: two network namespaces, a pair of veth
 * between them, and a shaper that makes it 1 Gbit/s. This adds the effects of a kernel's network
 * that a relay lacks: queues, segments, an interface that goes down and up again. As root; ip and
 * tc make it.
 */
#include <stdio.h>
#include <time.h>

#include "tests/procguest/move.h"
#include "tests/procguest/netns.h"
#include "tests/unit/suite.h"
#include "transport/clock.h"

#define GFNS 16384u /* 64 MiB */
#define LINK_BYTES_S 125e6
#define BURST (256u << 10) /* of the shaper, in bytes */
#define SHAPER "tbf rate 1gbit burst 256k latency 20ms"
#define SOON_NS 20000000000ull

static struct pg_netns net;

static struct pg_move *open_move(enum xf_mode mode)
{
    struct pg_move *m = pg_move_new(GFNS, 2);

    m->opts.mode = mode;
    m->opts.netns[0] = net.paths[0];
    m->opts.netns[1] = net.paths[1];
    m->opts.addr = PG_SINK_ADDR;
    m->opts.compress.asked = XF_COMPRESS_OFF;
    m->src->vcpus[0].work = PG_RANDOM;
    m->src->vcpus[0].rate = 2000;
    m->src->vcpus[1].work = PG_BALLOON;
    m->src->vcpus[1].rate = 500;
    return m;
}

static void arrived(struct pg_move *m)
{
    double least;

    CU_ASSERT(pg_move_wait(m));
    CU_ASSERT_EQUAL(m->source.end, XF_SWITCHED);
    CU_ASSERT_EQUAL(m->sink.end, XF_SINK_RUNS);
    CU_ASSERT(!m->source.pulled || m->source.pull == XF_PULL_DONE);
    if (m->source.err.num || m->sink.err.num)
        fprintf(stderr, "source: %s; sink: %s\n", m->source.err.text, m->sink.err.text);
    least = ((double)m->source.wire_bytes - 2 * BURST) / LINK_BYTES_S;
    CU_ASSERT(m->source.total_s >= least); /* it used this link */
    CU_ASSERT(pg_stopped(m->src));
    CU_ASSERT_EQUAL(pg_move_check(m, m->dst), 0);
    printf("\n    %.0f MB in %.2f s, %.2f of the link ", (double)m->source.wire_bytes / 1e6,
           m->source.total_s, least / m->source.total_s);
}

static void test_modes(void)
{
    static const enum xf_mode modes[] = {XF_MODE_PRECOPY, XF_MODE_HYBRID, XF_MODE_POSTCOPY};

    for (unsigned i = 0; i < 6; i++) {
        struct pg_move *m = open_move(modes[i % 3]);

        m->opts.encrypt = i >= 3;
        pg_move_start(m);
        arrived(m);
        pg_move_free(m);
    }
}

/* The interface goes down for a while, in COPY or in PULL. */
static void test_down(void)
{
    for (unsigned i = 0; i < 2; i++) {
        struct pg_move *m = open_move(i ? XF_MODE_POSTCOPY : XF_MODE_PRECOPY);
        uint64_t end = xf_now_ns() + SOON_NS;

        m->opts.stall_ms = 5000;
        pg_move_start(m);
        /* Not while it connects: a link that is lost then ends a move. */
        while (!(i ? m->pulling : m->copying) && xf_now_ns() < end)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
        CU_ASSERT(!m->source.done);
        CU_ASSERT(pg_netns_down(&net, true));
        nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
        CU_ASSERT(!m->source.done && !m->sink.done);
        CU_ASSERT(pg_netns_down(&net, false));
        arrived(m);
        pg_move_free(m);
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"each mode, plain and encrypted", test_modes},
        {"the interface goes down and comes back", test_down},
        CU_TEST_INFO_NULL,
    };
    int rc = 2;

    if (pg_netns_make(&net, 0) && pg_netns_shape(&net, SHAPER))
        rc = run_suite("process guest, a link", tests);
    pg_netns_drop(&net);
    return rc;
}
