/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rate of a link, on links and by a clock that are made up here. */
#include <stdio.h>

#include "libxl-ext/source/link_rate.h"
#include "tests/unit/suite.h"

/* A link: its round trip and its rate when it is warm; until it has carried `cold` bytes it carries
 * a quarter of that. */
struct made_up {
    double rtt, rate, cold;
};

static double measured; /* seconds */

/* As measure() of move_cold.c. */
static double rate_of(const struct made_up *l)
{
    struct xf_link_rate r = {0};
    double now = 100, free_at = now, arrives[4096];
    double carried = 0;

    do {
        while (xf_link_rate_more(&r, now)) {
            double took = XF_PROBE / (carried < l->cold ? l->rate / 4 : l->rate);

            carried += XF_PROBE;
            free_at = (free_at > now ? free_at : now) + took;
            CU_ASSERT_FATAL(r.sent < 4096);
            arrives[r.sent++] = free_at + l->rtt;
        }
        CU_ASSERT_FATAL(r.answered < r.sent);
        now = arrives[r.answered];
        xf_link_rate_answer(&r, now);
    } while (r.answered < r.sent || xf_link_rate_more(&r, now));
    measured = now - 100;
    return xf_link_rate(&r);
}

static void is_near(const struct made_up *l, double share)
{
    double rate = rate_of(l);

    if (rate < l->rate * (1 - share) || rate > l->rate * (1 + share))
        fprintf(stderr, "%.0f for a link of %.0f bytes/s\n", rate, l->rate);
    CU_ASSERT(rate >= l->rate * (1 - share) && rate <= l->rate * (1 + share));
}

/* The lab's: 256 KiB took 0.14 s, and then 128 MiB 31 s. */
static void test_warms_up(void)
{
    const struct made_up lab = {.rtt = 0.02, .rate = 4.2e6, .cold = XF_PROBE};

    is_near(&lab, 0.05);
    is_near(&(struct made_up){.rtt = 0.001, .rate = 1e8, .cold = 1 << 20}, 0.1);
    is_near(&(struct made_up){.rtt = 0.02, .rate = 4.2e7, .cold = 0}, 0.1);
}

/* One that is slow says so, and is not measured for long. */
static void test_slow(void)
{
    is_near(&(struct made_up){.rtt = 0.1, .rate = 64e3}, 0.05);
    CU_ASSERT(measured < 20);
    is_near(&(struct made_up){.rtt = 0.1, .rate = 1e6}, 0.1);
    CU_ASSERT(measured < 5);
}

/* One that is fast gets no more than 64 MiB, and what takes no time is no division by zero. */
static void test_fast(void)
{
    double rate;

    is_near(&(struct made_up){.rtt = 0.00001, .rate = 10e9}, 0.1);
    CU_ASSERT(measured < 1);
    rate = rate_of(&(struct made_up){.rtt = 0, .rate = 1e30});
    CU_ASSERT(rate > 1e9 && rate < 1e13);
}

int main(void)
{
    CU_TestInfo tests[] = {{"a link that warms up", test_warms_up},
                           {"a slow link", test_slow},
                           {"a fast link", test_fast},
                           CU_TEST_INFO_NULL};

    return run_suite("link_rate", tests);
}
