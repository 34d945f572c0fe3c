/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Moves of a process guest that share the bandwidth of their host: together they send no more than
 * it allows, each gets its part, and one alone is as fast as with a limit of its own.
 */
#include <stdio.h>
#include <stdlib.h>

#include "libxl-ext/host/run_dir.h"
#include "tests/procguest/move.h"
#include "tests/unit/suite.h"
#include "transport/clock.h"

#define GFNS 8192u /* 32 MiB, of which 30 are there */
#define RATE (15u << 20)

static struct pg_move *begin(uint64_t own, uint64_t shared)
{
    struct pg_move *m = pg_move_new(GFNS, 1);

    m->opts.bandwidth = own;
    m->opts.host_bandwidth = shared;
    m->opts.compress = (struct xf_compress_opts){0};
    pg_move_fill(m);
    return m;
}

/* The bytes that the limit is about: without the last pages. */
static uint64_t end(struct pg_move *m)
{
    uint64_t bytes;

    CU_ASSERT(pg_move_wait(m));
    CU_ASSERT_EQUAL(m->source.end, XF_SWITCHED);
    CU_ASSERT_EQUAL(pg_move_check(m, m->dst), 0);
    bytes = (m->source.sent.data + m->source.sent.zero - m->source.times.pages) * XF_PAGE_SIZE;
    pg_move_free(m);
    return bytes;
}

/* Seconds of COPY of one move. */
static double alone(uint64_t own, uint64_t shared)
{
    struct pg_move *m = begin(own, shared);
    double seconds;

    pg_move_start(m);
    CU_ASSERT(pg_move_wait(m));
    seconds = m->source.copy_s;
    CU_ASSERT_EQUAL(m->source.end, XF_SWITCHED);
    pg_move_free(m);
    return seconds;
}

static void test_alone(void)
{
    double own = alone(RATE, 0), shared = alone(0, RATE);

    printf("\n    alone: %.2f s with a limit of its own, %.2f s with that of the host ", own,
           shared);
    /* At least what the limit demands; how much longer it took depends on the machine. */
    CU_ASSERT(shared > 1.4);
    CU_ASSERT(own > 1.4);
}

static void test_three(void)
{
    struct pg_move *m[3];
    uint64_t bytes = 0;
    double began, took;

    for (unsigned i = 0; i < 3; i++)
        m[i] = begin(0, RATE);
    began = xf_now();
    for (unsigned i = 0; i < 3; i++)
        pg_move_start(m[i]);
    for (unsigned i = 0; i < 3; i++)
        CU_ASSERT(pg_move_wait(m[i]));
    took = xf_now() - began;
    /* None was served after all the others. */
    for (unsigned i = 0; i < 3; i++)
        CU_ASSERT(m[i]->source.copy_s > 3);
    for (unsigned i = 0; i < 3; i++)
        bytes += end(m[i]);
    printf("\n    three: %.1f MiB/s together, of %u ", (double)(bytes >> 20) / took, RATE >> 20);
    /* Not more than a batch of each, and a fifth of a second, above the limit. */
    CU_ASSERT((double)bytes <= RATE * (took + 0.2) + 3 * (4u << 20));
    CU_ASSERT(bytes >= 3 * (24u << 20));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"alone", test_alone},
        {"three share it", test_three},
        CU_TEST_INFO_NULL,
    };
    char dir[] = "/tmp/xf-share-XXXXXX", cmd[60];
    int rc;

    if (!mkdtemp(dir) || setenv(XF_RUN_DIR_ENV, dir, 1))
        return 2;
    rc = run_suite("shared bandwidth", tests);
    snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
    return system(cmd) ? 2 : rc;
}
