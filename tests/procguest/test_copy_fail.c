/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The link is lost in COPY: by connections that are reset, by a cable that is pulled, by packets
 * that vanish. COPY continues over a new one with the unconfirmed pages, or gives up after the time
 * limit, unnoticed by the guest.
 */
#include <stdio.h>
#include <time.h>

#include "tests/procguest/eventually.h"
#include "tests/procguest/move.h"
#include "tests/procguest/netns.h"
#include "tests/unit/suite.h"
#include "transport/clock.h"

#define GFNS 8192u /* 32 MiB */
#define SOON_S 100.0

/* In COPY: it continues, over a new link where TCP could not wait that long. */
static void in_copy(const struct pg_outage *o, int nr)
{
    double until = xf_now() + SOON_S;
    struct pg_netns net;
    struct pg_move *m;

    CU_ASSERT_FATAL(pg_netns_make(&net, nr));
    CU_ASSERT(pg_netns_shape(&net, "tbf rate 24mbit burst 64k latency 20ms"));
    m = pg_move_new(GFNS, 2);
    m->opts.netns[0] = net.paths[0];
    m->opts.netns[1] = net.paths[1];
    m->opts.addr = PG_SINK_ADDR;
    m->opts.compress.asked = XF_COMPRESS_OFF;
    m->opts.sink_stall_ms = 20000;
    m->src->vcpus[0].work = PG_RANDOM;
    m->src->vcpus[0].rate = 200;
    m->opts.reconnect_ms = 60000;
    m->opts.confirm_s = 0.5;
    m->opts.policy.max_rounds = 1;
    pg_move_start(m);
    while (!m->copied && xf_now() < until)
        pg_nap();
    nanosleep(&(struct timespec){.tv_sec = 1}, NULL); /* of about ten that it takes */
    CU_ASSERT_FATAL(m->copied && !m->source.done && !m->sink.done);
    pg_away(&net, o, true);
    nanosleep(&(struct timespec){.tv_sec = (time_t)o->seconds}, NULL);
    CU_ASSERT_FATAL(!m->source.done && !m->sink.done);
    pg_away(&net, o, false);
    CU_ASSERT(pg_move_wait(m));
    CU_ASSERT_EQUAL(m->source.end, XF_SWITCHED);
    CU_ASSERT_EQUAL(m->sink.end, XF_SINK_RUNS);
    if (m->source.err.num || m->sink.err.num)
        fprintf(stderr, "source: %s; sink: %s\n", m->source.err.text, m->sink.err.text);
    CU_ASSERT(m->relinks[0] == m->relinks[1] && m->relinks[0] <= 1);
    CU_ASSERT(o->seconds < 11 || m->relinks[0] == 1);
    CU_ASSERT_EQUAL(pg_move_check(m, m->dst), 0);
    printf("\n    %s: %u new links, %.2f of the memory sent", o->name, m->relinks[0],
           (double)(m->source.sent.data + m->source.sent.zero) / GFNS);
    pg_move_free(m);
    pg_netns_drop(&net);
}

static void test_copy(void)
{
    static const struct pg_outage list[] = {{"5 s, packets vanish", 5, true},
                                            {"15 s, packets vanish", 15, true},
                                            {"40 s, packets vanish", 40, true},
                                            {"5 s, interface down", 5, false},
                                            {"15 s, interface down", 15, false}};

    pg_all_at_once(in_copy, list, sizeof(list) / sizeof(list[0]));
}

/* Each connection is reset, as by a firewall, again and again; confirmed pages stay. */
static void test_reset(void)
{
    struct pg_move *m = pg_move_new(GFNS, 2);
    unsigned cuts = 0;

    m->opts.relayed = true;
    m->opts.relay_rate = 10u << 20;
    m->opts.confirm_s = 0.2;
    m->opts.compress.asked = XF_COMPRESS_OFF;
    m->opts.policy.max_rounds = 1;
    m->src->vcpus[0].work = PG_RANDOM;
    m->src->vcpus[0].rate = 200;
    m->src->vcpus[1].work = PG_BALLOON;
    m->src->vcpus[1].rate = 200;
    pg_move_start(m);
    for (unsigned part = 1; part <= 3; part++) {
        double until = xf_now() + SOON_S;

        while (m->relay->bytes < (uint64_t)GFNS * XF_PAGE_SIZE / 4 * part && !m->source.done &&
               xf_now() < until)
            pg_nap();
        if (m->source.done || m->source.times.began > 0)
            break;
        m->relay->line = PG_LINE_CUT;
        while (m->relay->cuts <= cuts && xf_now() < until)
            pg_nap();
        cuts++;
        m->relay->line = PG_LINE_UP;
    }
    CU_ASSERT(pg_move_wait(m));
    CU_ASSERT_EQUAL(m->source.end, XF_SWITCHED);
    if (m->source.err.num || m->sink.err.num)
        fprintf(stderr, "source: %s; sink: %s\n", m->source.err.text, m->sink.err.text);
    CU_ASSERT(cuts >= 2 && m->relinks[0] >= cuts);
    CU_ASSERT_EQUAL(pg_move_check(m, m->dst), 0);
    printf("\n    %u new links, %.2f of the memory sent", m->relinks[0],
           (double)(m->source.sent.data + m->source.sent.zero) / GFNS);
    pg_move_free(m);
}

/* No answer any more: after the requested time the guest runs on here. */
static void test_over(void)
{
    struct pg_move *m = pg_move_new(GFNS, 1);
    double until = xf_now() + SOON_S;

    m->opts.relayed = true;
    m->opts.relay_rate = 10u << 20;
    m->opts.reconnect_ms = 500;
    m->src->vcpus[0].work = PG_RANDOM;
    m->src->vcpus[0].rate = 200;
    pg_move_start(m);
    while (m->relay->bytes < 4u << 20 && xf_now() < until)
        pg_nap();
    m->relay->line = PG_LINE_CUT;
    while (!m->source.done && xf_now() < until)
        pg_nap();
    CU_ASSERT(m->source.done);
    pg_move_kill_sink(m); /* a real one learns of the end from the bootstrap pipe */
    CU_ASSERT_EQUAL(m->source.end, XF_SWITCH_BACK);
    CU_ASSERT(m->source.err.num != 0);
    CU_ASSERT(pg_alive(m->src) && !pg_stopped(m->src));
    CU_ASSERT_EQUAL(pg_move_check(m, m->src), 0);
    pg_move_free(m);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"every connection is reset", test_reset},
        {"and nobody answers any more", test_over},
        {"the network is away for 5 to 40 s", test_copy},
        CU_TEST_INFO_NULL,
    };

    return run_suite("process guest, a link lost in COPY", tests);
}
