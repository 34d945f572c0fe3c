/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Moves of a process guest over a network of its own: two network namespaces, a pair of veth
 * between them, and a shaper that makes it 1 Gbit/s. What a kernel's network does and a relay does
 * not: queues, segments, an interface that goes down and comes back. As root; ip and tc make it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/procguest/move.h"
#include "tests/unit/suite.h"
#include "transport/clock.h"

#define GFNS 16384u /* 64 MiB */
#define LINK_BYTES_S 125e6
#define BURST (256u << 10) /* of the shaper, in bytes */
#define SOON_NS 20000000000ull

static char paths[2][64];

__attribute__((format(printf, 1, 2))) static bool run(const char *format, ...)
{
    char line[512];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (!system(line)) /* NOLINT(cert-env33-c): our own words and numbers */
        return true;
    fprintf(stderr, "failed: %s\n", line);
    return false;
}

static bool up(unsigned side)
{
    int pid = (int)getpid();

    snprintf(paths[side], sizeof(paths[side]), "/run/netns/xfpg-%d-%u", pid, side);
    return run("ip -n xfpg-%d-%u addr add 192.0.2.%u/24 dev v%u", pid, side, side + 1, side) &&
           run("ip -n xfpg-%d-%u link set v%u up", pid, side, side) &&
           run("tc -n xfpg-%d-%u qdisc add dev v%u root tbf rate 1gbit burst %u latency 20ms", pid,
               side, side, BURST);
}

static bool make_network(void)
{
    int pid = (int)getpid();

    return run("ip netns add xfpg-%d-0", pid) && run("ip netns add xfpg-%d-1", pid) &&
           run("ip -n xfpg-%d-0 link add v0 type veth peer name v1 netns xfpg-%d-1", pid, pid) &&
           up(0) && up(1);
}

static void drop_network(void)
{
    run("ip netns del xfpg-%d-0", (int)getpid());
    run("ip netns del xfpg-%d-1", (int)getpid());
}

static struct pg_move *open_move(enum xf_mode mode)
{
    struct pg_move *m = pg_move_new(GFNS, 2);

    m->opts.mode = mode;
    m->opts.netns[0] = paths[0];
    m->opts.netns[1] = paths[1];
    m->opts.addr = "192.0.2.2";
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
    CU_ASSERT(m->source.total_s >= least); /* it was this link that it went over */
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
        CU_ASSERT(run("ip -n xfpg-%d-0 link set v0 down", (int)getpid()));
        nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
        CU_ASSERT(!m->source.done && !m->sink.done);
        CU_ASSERT(run("ip -n xfpg-%d-0 link set v0 up", (int)getpid()));
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

    if (make_network())
        rc = run_suite("process guest, a link", tests);
    drop_network();
    return rc;
}
