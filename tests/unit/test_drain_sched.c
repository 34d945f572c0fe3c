/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The scheduler of a drain: what is started, where to and in which order; every way in which a
 * guest may end; interruptions; and, over all of them at random, what always holds.
 */
#include <stdlib.h>
#include <string.h>

#include "libxl-ext/drain/sched.h"
#include "tests/unit/suite.h"

#define GUESTS 12u

static struct xf_drain_guest guests[GUESTS];
static struct xf_drain d;

static void fresh(unsigned nr_guests, unsigned nr_hosts, unsigned limit)
{
    memset(guests, 0, sizeof(guests));
    d = (struct xf_drain){
        .limit = limit, .guest = guests, .nr_guests = nr_guests, .nr_hosts = nr_hosts};
    for (unsigned i = 0; i < nr_guests; i++)
        guests[i] = (struct xf_drain_guest){.rank = 100 - i, .may = UINT32_MAX};
}

/* The next action, as "START guest host" in digits; 900: wait; 901: done. */
static unsigned next(void)
{
    unsigned g = 99, h = 99;

    switch (xf_drain_next(&d, &g, &h)) {
    case XF_DRAIN_START:
        return g * 10 + h;
    case XF_DRAIN_WAIT:
        return 900;
    case XF_DRAIN_DONE:
        return 901;
    }
    return 999;
}

static void test_order_and_limit(void)
{
    fresh(4, 1, 2);
    guests[2].rank = 1000;
    guests[3].rank = guests[0].rank; /* equal: as they stand */
    CU_ASSERT_EQUAL(next(), 20);
    CU_ASSERT_EQUAL(next(), 0);
    CU_ASSERT_EQUAL(next(), 900);
    xf_drain_ended(&d, 2, XF_DRAIN_END_LEFT);
    CU_ASSERT_EQUAL(next(), 30);
    xf_drain_ended(&d, 3, XF_DRAIN_END_STAYED);
    CU_ASSERT_EQUAL(next(), 10);
    xf_drain_ended(&d, 0, XF_DRAIN_END_LEFT);
    CU_ASSERT_EQUAL(next(), 900);
    xf_drain_ended(&d, 1, XF_DRAIN_END_STUCK);
    CU_ASSERT_EQUAL(next(), 901);
    CU_ASSERT_EQUAL(xf_drain_count(&d, XF_DRAIN_LEFT), 2);
    CU_ASSERT_EQUAL(guests[3].state, XF_DRAIN_STAYED);
    CU_ASSERT_EQUAL(guests[1].state, XF_DRAIN_STUCK);
    fresh(0, 1, 1);
    CU_ASSERT_EQUAL(next(), 901);
}

/* To the most free memory, less what others were given. */
static void test_hosts(void)
{
    fresh(4, 3, 8);
    for (unsigned i = 0; i < 4; i++)
        guests[i].need_kib = 400;
    d.host[1] = (struct xf_drain_host){.known = true, .free_kib = 900};
    d.host[2] = (struct xf_drain_host){.known = true, .free_kib = 700};
    CU_ASSERT_EQUAL(next(), 1);
    CU_ASSERT_EQUAL(next(), 12);
    CU_ASSERT_EQUAL(next(), 21);
    /* Sooner where it is not known than where it is known not to fit. */
    CU_ASSERT_EQUAL(next(), 30);
    xf_drain_ended(&d, 3, XF_DRAIN_END_REFUSED);
    /* More than is free may be wanted, and what did not come is given back, exactly. */
    CU_ASSERT_EQUAL(next(), 32);
    CU_ASSERT(d.host[1].free_kib == 100 && d.host[2].free_kib == 0);
    xf_drain_ended(&d, 3, XF_DRAIN_END_REFUSED);
    CU_ASSERT_EQUAL(d.host[2].free_kib, 300);
    CU_ASSERT_EQUAL(next(), 31);
    xf_drain_ended(&d, 3, XF_DRAIN_END_REFUSED);
    CU_ASSERT_EQUAL(d.host[1].free_kib, 100);
    CU_ASSERT_EQUAL(next(), 900);
    CU_ASSERT_EQUAL(guests[3].state, XF_DRAIN_REFUSED);
    /* Where nothing is known they take turns. */
    fresh(4, 2, 8);
    CU_ASSERT(next() == 0 && next() == 11 && next() == 20 && next() == 31);
    /* Only where it may go. */
    fresh(1, 3, 1);
    guests[0].may = 1u << 2;
    CU_ASSERT_EQUAL(next(), 2);
    xf_drain_ended(&d, 0, XF_DRAIN_END_REFUSED);
    CU_ASSERT_EQUAL(next(), 901);
}

static void test_memory(void)
{
    fresh(3, 1, 2);
    CU_ASSERT(next() == 0 && next() == 10);
    xf_drain_ended(&d, 0, XF_DRAIN_END_MEMORY);
    CU_ASSERT_EQUAL(next(), 20); /* the others go on */
    CU_ASSERT_EQUAL(guests[0].state, XF_DRAIN_NO_MEMORY);
    xf_drain_ended(&d, 2, XF_DRAIN_END_REFUSED);
    CU_ASSERT_EQUAL(next(), 900); /* a refusal frees no memory */
    xf_drain_ended(&d, 1, XF_DRAIN_END_LEFT);
    CU_ASSERT_EQUAL(next(), 0);
    xf_drain_ended(&d, 0, XF_DRAIN_END_MEMORY);
    CU_ASSERT_EQUAL(next(), 901);
    CU_ASSERT_EQUAL(guests[0].state, XF_DRAIN_NO_MEMORY);
    /* The answer is older than another's leaving: asked again at once. */
    fresh(2, 1, 2);
    CU_ASSERT(next() == 0 && next() == 10);
    xf_drain_ended(&d, 1, XF_DRAIN_END_LEFT);
    xf_drain_ended(&d, 0, XF_DRAIN_END_MEMORY);
    CU_ASSERT_EQUAL(next(), 0);
    xf_drain_ended(&d, 0, XF_DRAIN_END_LEFT);
    CU_ASSERT_EQUAL(next(), 901);
    /* Another host first. */
    fresh(1, 2, 1);
    CU_ASSERT_EQUAL(next(), 0);
    xf_drain_ended(&d, 0, XF_DRAIN_END_MEMORY);
    CU_ASSERT_EQUAL(next(), 1);
    xf_drain_ended(&d, 0, XF_DRAIN_END_REFUSED);
    CU_ASSERT_EQUAL(next(), 901);
    CU_ASSERT_EQUAL(guests[0].state, XF_DRAIN_NO_MEMORY);
}

static void test_elsewhere(void)
{
    fresh(2, 1, 1);
    guests[0].state = XF_DRAIN_ELSEWHERE;
    CU_ASSERT_EQUAL(next(), 900); /* it counts */
    xf_drain_ended(&d, 0, XF_DRAIN_END_LEFT);
    CU_ASSERT_EQUAL(next(), 10);
    xf_drain_ended(&d, 1, XF_DRAIN_END_BUSY);
    CU_ASSERT_EQUAL(guests[1].state, XF_DRAIN_ELSEWHERE);
    CU_ASSERT_EQUAL(next(), 900);
    xf_drain_ended(&d, 1, XF_DRAIN_END_AGAIN);
    CU_ASSERT_EQUAL(next(), 10);
    xf_drain_ended(&d, 1, XF_DRAIN_END_AGAIN);
    CU_ASSERT_EQUAL(next(), 10);
    xf_drain_ended(&d, 1, XF_DRAIN_END_AGAIN); /* for the third time */
    CU_ASSERT_EQUAL(guests[1].state, XF_DRAIN_STAYED);
    CU_ASSERT_EQUAL(next(), 901);
    CU_ASSERT_EQUAL(d.host[0].given, 0);
}

static void test_interrupt(void)
{
    fresh(3, 1, 2);
    CU_ASSERT(next() == 0 && next() == 10);
    CU_ASSERT_FALSE(xf_drain_interrupt(&d));
    xf_drain_ended(&d, 0, XF_DRAIN_END_LEFT);
    CU_ASSERT_EQUAL(next(), 900);
    CU_ASSERT_TRUE(xf_drain_interrupt(&d));
    CU_ASSERT_TRUE(xf_drain_interrupt(&d));
    xf_drain_ended(&d, 1, XF_DRAIN_END_STAYED);
    CU_ASSERT_EQUAL(next(), 901);
    CU_ASSERT_EQUAL(guests[2].state, XF_DRAIN_TODO);
}

/* Whatever happens: never more than the limit, never a guest twice at once, an end, and no guest in
 * a state that is not final. */
static void run_random(unsigned seed)
{
    unsigned steps = 0, g, h, n;
    enum xf_drain_action a;

    srand(seed);
    fresh((unsigned)rand() % (GUESTS + 1), 1 + (unsigned)rand() % 4, 1 + (unsigned)rand() % 4);
    for (unsigned i = 0; i < d.nr_guests; i++) {
        guests[i].rank = (unsigned)rand() % 5;
        guests[i].need_kib = (unsigned)rand() % 50;
    }
    for (unsigned i = 0; i < d.nr_hosts; i++)
        d.host[i] = (struct xf_drain_host){rand() % 2, (uint64_t)rand() % 100, 0};
    for (;;) {
        while ((a = xf_drain_next(&d, &g, &h)) == XF_DRAIN_START)
            CU_ASSERT_FATAL(g < d.nr_guests && h < d.nr_hosts && guests[g].host == h);
        n = xf_drain_count(&d, XF_DRAIN_GOING);
        CU_ASSERT_FATAL(n <= d.limit && ++steps < 2000);
        if (a == XF_DRAIN_DONE)
            break;
        CU_ASSERT_FATAL(n + xf_drain_count(&d, XF_DRAIN_ELSEWHERE) > 0);
        do
            g = (unsigned)rand() % d.nr_guests;
        while (guests[g].state != XF_DRAIN_GOING && guests[g].state != XF_DRAIN_ELSEWHERE);
        /* One that another process moves is not refused. */
        xf_drain_ended(&d, g,
                       guests[g].state == XF_DRAIN_GOING
                           ? (enum xf_drain_end)(rand() % (XF_DRAIN_END_OUT + 1))
                       : rand() % 2 ? XF_DRAIN_END_LEFT
                                    : XF_DRAIN_END_AGAIN);
    }
    CU_ASSERT(!xf_drain_count(&d, XF_DRAIN_TODO) && !xf_drain_count(&d, XF_DRAIN_GOING));
    n = 0;
    for (unsigned i = 0; i < d.nr_hosts; i++)
        n += d.host[i].given;
    CU_ASSERT(n <= xf_drain_count(&d, XF_DRAIN_LEFT));
}

static void test_random(void)
{
    for (unsigned seed = 1; seed <= 3000; seed++)
        run_random(seed);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"the highest rank first, and no more than the limit", test_order_and_limit},
        {"the host with most free memory that takes it", test_hosts},
        {"one refused for memory is offered again when another has left", test_memory},
        {"one that another process moves", test_elsewhere},
        {"interrupted once, and twice", test_interrupt},
        {"whatever happens", test_random},
        CU_TEST_INFO_NULL,
    };

    return run_suite("drain_sched", tests);
}
