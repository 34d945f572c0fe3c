/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether there is still a sink, by what attempts to connect met: over made-up time. */
#include <errno.h>

#include "postcopy/gone.h"
#include "tests/unit/suite.h"

#define MINUTE 60000

static struct xf_gone g;
static int64_t now;

static void begin(void)
{
    g = (struct xf_gone){.limit_ms = {MINUTE, MINUTE, 10 * MINUTE}};
    now = 1000;
}

/* An attempt of ms that ended so, and a tenth of a second of rest. */
static int64_t tried(int num, int ms)
{
    const struct xf_err why = {.num = num};
    int64_t gone = xf_gone_tried(&g, &why, now, now + ms);

    now += ms + 100;
    return gone;
}

/* How long until it is over, ms; 0: not within a day. */
static int64_t until(const int *nums, unsigned n, int ms)
{
    int64_t began = now;

    for (unsigned i = 0; now - began < 24 * 60 * (int64_t)MINUTE; i++)
        if (tried(nums[i % n], ms))
            return now - began;
    return 0;
}

static void test_kinds(void)
{
    static const struct {
        int nums[3];
        unsigned n;
        int ms;       /* of an attempt */
        int64_t ends; /* 0: never */
    } t[] = {
        {{ECONNREFUSED}, 1, 1, MINUTE},
        {{EACCES}, 1, 3, MINUTE},
        {{EPROTO}, 1, 3, MINUTE},
        {{ETIME}, 1, 15000, 10 * MINUTE},
        {{ECONNRESET, EPIPE}, 2, 1, 10 * MINUTE},
        {{ETIMEDOUT}, 1, 15000, 0}, /* the network, or the whole host */
        {{EHOSTUNREACH}, 1, 3000, 0},
        {{ENETUNREACH}, 1, 1, 0},
        /* By turns. The network between two answers takes nothing of them back but begins anew. */
        {{ECONNREFUSED, EPROTO}, 2, 1, MINUTE},
        {{ECONNREFUSED, ETIME}, 2, 5000, 10 * MINUTE},
        {{EACCES, ECONNRESET, ECONNREFUSED}, 3, 1, 10 * MINUTE},
        {{ETIMEDOUT, ECONNREFUSED}, 2, 15000, 0},
    };

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        int64_t took;

        begin();
        took = until(t[i].nums, t[i].n, t[i].ms);
        CU_ASSERT(t[i].ends ? took >= t[i].ends && took < t[i].ends + 2 * (t[i].ms + 200)
                            : took == 0);
    }
}

/* One that has met the sink, or a milder answer, begins the time anew. */
static void test_anew(void)
{
    begin();
    while (now < MINUTE)
        CU_ASSERT_EQUAL(tried(ECONNREFUSED, 1), 0);
    xf_gone_met(&g);
    for (int64_t from = now; now - from < MINUTE - 200;)
        CU_ASSERT_EQUAL(tried(ECONNREFUSED, 1), 0);
    CU_ASSERT_EQUAL(tried(ECONNRESET, 1), 0); /* it listens again, and goes away once more */
    for (int64_t from = now; now - from < MINUTE - 200;)
        CU_ASSERT_EQUAL(tried(ECONNREFUSED, 1), 0);
}

/* Without a limit: never. */
static void test_no_limit(void)
{
    static const int refused[] = {ECONNREFUSED}, silent[] = {ETIME};

    begin();
    g.limit_ms[XF_ANSWER_SILENT] = 0;
    CU_ASSERT_EQUAL(until(silent, 1, 1000), 0);
    CU_ASSERT(until(refused, 1, 1) > 0);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"each kind of answer has its time", test_kinds},
        {"what begins it anew", test_anew},
        {"no limit", test_no_limit},
        CU_TEST_INFO_NULL,
    };

    return run_suite("gone", tests);
}
