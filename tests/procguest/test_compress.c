/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pre-copy of a process guest with compression: the result at the sink is compared byte by byte,
 * for all contents and ways of sending, while the guest writes.
 */
#include <stdio.h>

#include "tests/procguest/move.h"
#include "tests/unit/suite.h"

#define GFNS 8192u /* 32 MiB */

static void moved(struct pg_move *m)
{
    m->opts.policy.max_rounds = 3;
    pg_move_start(m);
    CU_ASSERT(pg_move_wait(m));
    CU_ASSERT_EQUAL(m->source.end, XF_SWITCHED);
    CU_ASSERT_EQUAL(m->sink.end, XF_SINK_RUNS);
    if (m->source.end != XF_SWITCHED)
        fprintf(stderr, "source: %s; sink: %s\n", m->source.err.text, m->sink.err.text);
    CU_ASSERT_EQUAL(pg_move_check(m, m->dst), 0);
    CU_ASSERT_EQUAL(m->src->bad, 0);
}

/* Each setting with each kind of contents, while the guest writes. */
static void test_compress(void)
{
    static const struct {
        uint32_t text, zero_every;
    } contents[] = {{PG_TEXT, 7}, {0, 7}, {PG_TEXT, 2}};

    for (unsigned i = 0; i < 12; i++) {
        enum xf_compress asked = (enum xf_compress)(i % 4);
        struct pg_move *m = pg_move_new(GFNS, 2);
        uint64_t packed;

        m->truth->text = contents[i / 4].text;
        m->truth->zero_every = contents[i / 4].zero_every;
        m->opts.compress.asked = asked;
        m->opts.encrypt = i & 1;
        m->src->vcpus[0] = (struct pg_vcpu){.work = PG_RANDOM, .rate = 2000, .random = 7};
        m->src->vcpus[1] = (struct pg_vcpu){.work = PG_HOT, .arg = 200, .rate = 2000, .random = 9};
        m->src->vcpus[0].count = m->src->vcpus[1].count = GFNS - 2;
        moved(m);
        packed = m->source.sent.by[XF_CODEC_LZ4] + m->source.sent.by[XF_CODEC_ZSTD];
        printf("\n    %llu pages in %llu MiB", (unsigned long long)packed,
               (unsigned long long)m->source.sent.packed >> 20);
        CU_ASSERT_EQUAL(m->source.sent.by[XF_CODEC_NONE] + packed, m->source.sent.data);
        if (asked == XF_COMPRESS_OFF || !m->truth->text)
            CU_ASSERT_EQUAL(packed, 0);
        if (m->truth->text && asked >= XF_COMPRESS_LZ4) {
            CU_ASSERT(m->source.sent.by[asked == XF_COMPRESS_LZ4 ? XF_CODEC_LZ4 : XF_CODEC_ZSTD] >
                      GFNS / 3);
            CU_ASSERT(m->source.sent.packed < packed * XF_PAGE_SIZE * 3 / 4);
        }
        pg_move_free(m);
    }
}

/* Pages that are absent by then are put in, not mapped, compressed or not. */
static void test_compress_hybrid(void)
{
    for (unsigned i = 0; i < 2; i++) {
        struct pg_move *m = pg_move_new(GFNS, 2);

        m->truth->text = PG_TEXT;
        m->opts.mode = XF_MODE_HYBRID;
        m->opts.policy.max_downtime_s = 0.001;
        m->opts.compress.asked = i ? XF_COMPRESS_ZSTD : XF_COMPRESS_LZ4;
        for (unsigned v = 0; v < 2; v++)
            m->src->vcpus[v] =
                (struct pg_vcpu){.work = PG_RANDOM, .count = GFNS - 2, .random = 5 + v};
        moved(m);
        CU_ASSERT(m->source.pulled && m->source.pull == XF_PULL_DONE);
        CU_ASSERT(m->sink.pulled && m->sink.pull == XF_PULL_DONE);
        CU_ASSERT(m->source.sent.packed > 0);
        CU_ASSERT(m->source.packed > 0);
        pg_move_free(m);
    }
}

/* Pages pushed after GO are compressed on request only; answers to page requests are not
 * compressed, and both arrive intact. */
static void test_compress_pushes(void)
{
    static const enum xf_compress ways[] = {XF_COMPRESS_OFF, XF_COMPRESS_LZ4, XF_COMPRESS_ZSTD};

    for (unsigned i = 0; i < 3; i++) {
        struct pg_move *m = pg_move_new(GFNS, 1);

        m->truth->text = PG_TEXT;
        m->opts.mode = XF_MODE_POSTCOPY;
        m->opts.compress.asked = ways[i];
        m->src->vcpus[0] =
            (struct pg_vcpu){.work = PG_RANDOM, .rate = 200, .count = GFNS - 2, .random = 5};
        moved(m);
        CU_ASSERT(m->source.pulled && m->source.pull == XF_PULL_DONE);
        CU_ASSERT(m->source.pushed > GFNS / 2);
        if (!i)
            CU_ASSERT_EQUAL(m->source.packed, 0);
        if (i) {
            printf("\n    %llu of %llu pushed pages compressed",
                   (unsigned long long)m->source.packed, (unsigned long long)m->source.pushed);
            CU_ASSERT(m->source.packed > m->source.pushed / 4);
            CU_ASSERT(m->source.wire_bytes < m->source.left_out * XF_PAGE_SIZE * 3 / 4);
        }
        pg_move_free(m);
    }
}

/* By default: compressed where the link is slow, as far as the destination supports it. */
static void test_compress_slow(void)
{
    for (unsigned can = 0; can < 2; can++) {
        struct pg_move *m = pg_move_new(GFNS, 1);

        m->truth->text = PG_TEXT;
        m->opts.relayed = true;
        m->opts.relay_rate = 16u << 20;
        if (!can)
            m->opts.compress.can = 0;
        moved(m);
        CU_ASSERT_EQUAL(m->source.sent.packed > 0, can);
        pg_move_free(m);
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"compressed or not, whatever it holds", test_compress},
        {"compressed, and the rest after GO", test_compress_hybrid},
        {"what is pushed after GO", test_compress_pushes},
        {"compressed by itself over a slow link", test_compress_slow},
        CU_TEST_INFO_NULL,
    };

    return run_suite("process guest, compression", tests);
}
