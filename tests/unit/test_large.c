/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Large pages at the destination (precopy/large.h), with made-up memory. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "precopy/large.h"
#include "tests/unit/suite.h"

#define GFNS (4 * XF_LARGE_PAGES + 100)
#define RANGE XF_LARGE_PAGES

static struct xf_sink_vm vm = {.nr_gfns = GFNS};
static unsigned long present[GFNS / XF_WORD_BITS + 1], rings[GFNS / XF_WORD_BITS + 1];
static _Atomic unsigned asked[5]; /* how often each range was asked for */
static bool none;                 /* Xen has no large page */
static struct xf_large l;
static struct xf_err err;

static int populate_large(struct xf_view *v, uint64_t first)
{
    (void)v;
    CU_ASSERT_EQUAL(first % RANGE, 0);
    CU_ASSERT_EQUAL(asked[first / RANGE]++, 0);
    return none ? XF_AGAIN : 0;
}

static void begin(uint64_t gfn, uint64_t count)
{
    static const struct xf_sink_ops ops = {.populate_large = populate_large};
    struct xf_extents set = {.nr = 1, .list = {{gfn, count}}};

    vm.ops = &ops;
    memset(present, 0, sizeof(present));
    memset(rings, 0, sizeof(rings));
    for (unsigned i = 0; i < 5; i++)
        asked[i] = 0;
    none = false;
    l = (struct xf_large){0};
    CU_ASSERT_EQUAL_FATAL(xf_large_init(&l, &vm, present, rings), 0);
    CU_ASSERT_EQUAL(xf_large_add(&l, &set, &err), 0);
}

static void touch(uint64_t gfn, uint32_t count, uint32_t kind)
{
    static struct xf_batch b;

    b.nr_runs = 1;
    b.runs[0] = (struct xf_run){gfn, count, kind};
    xf_large_touch(&l, NULL, &b);
}

static uint64_t memory(void)
{
    return xf_bitmap_count(present, GFNS);
}

static void test_whole(void)
{
    begin(RANGE, 2 * RANGE);
    touch(0, RANGE, XF_RUN_DATA); /* not named */
    CU_ASSERT_EQUAL(memory(), 0);
    touch(RANGE + 17, 1, XF_RUN_DATA);
    CU_ASSERT_EQUAL(memory(), RANGE);
    CU_ASSERT(xf_bit(present, RANGE) && xf_bit(present, 2 * RANGE - 1));
    touch(RANGE + 18, 1, XF_RUN_ABSENT); /* it has memory, which can be taken away now */
    touch(RANGE + 19, RANGE, XF_RUN_ZERO);
    CU_ASSERT_EQUAL(memory(), 2 * RANGE);
    CU_ASSERT_EQUAL(l.pages, 2 * RANGE);
    CU_ASSERT_EQUAL(l.left, 0);
    CU_ASSERT(asked[1] == 1 && asked[2] == 1);
    xf_large_free(&l);
}

/* What keeps a range small: once, and for good. */
static void test_small(void)
{
    static const char *const why[] = {"it has lost a page", "a page was built", "a ring", "none"};

    for (unsigned i = 0; i < 4; i++) {
        begin(0, RANGE);
        if (i == 0)
            touch(RANGE - 1, 2, XF_RUN_ABSENT);
        if (i == 1)
            xf_set(present, 5);
        if (i == 2)
            xf_set(rings, RANGE - 1);
        none = i == 3;
        for (unsigned again = 0; again < 2; again++)
            touch(3, 1, XF_RUN_DATA);
        CU_ASSERT_EQUAL(asked[0], i == 3);
        CU_ASSERT_EQUAL(memory(), i == 1);
        CU_ASSERT(!l.pages && !l.left);
        if (l.pages)
            fprintf(stderr, "large, although: %s\n", why[i]);
        xf_large_free(&l);
    }
}

static void test_refused(void)
{
    static const struct xf_extents parts[] = {{.nr = 1, .list = {{1, RANGE}}},
                                              {.nr = 1, .list = {{RANGE, RANGE + 1}}}};
    static const struct xf_sink_ops never = {0};

    begin(RANGE, RANGE);
    for (unsigned i = 0; i < 2; i++) {
        xf_clear(&err);
        CU_ASSERT_EQUAL(xf_large_add(&l, &parts[i], &err), -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "the source named a part of a large page"));
    }
    xf_large_free(&l);

    vm.ops = &never;
    l = (struct xf_large){0};
    CU_ASSERT_EQUAL(xf_large_init(&l, &vm, present, rings), 0);
    CU_ASSERT_EQUAL(xf_large_add(&l, &parts[0], &err), 0);
    CU_ASSERT_EQUAL(l.left, 0);
    xf_large_free(&l);
}

/* Whoever comes second waits until the memory is there. */
static void *race(void *arg)
{
    static const struct xf_batch all = {.nr_runs = 1, .runs = {{0, 4 * RANGE, XF_RUN_DATA}}};

    (void)arg;
    xf_large_touch(&l, NULL, &all);
    CU_ASSERT_EQUAL(memory(), 4 * RANGE);
    return NULL;
}

static void test_threads(void)
{
    for (unsigned turn = 0; turn < 200; turn++) {
        pthread_t t[4];

        begin(0, 4 * RANGE);
        for (unsigned i = 0; i < 4; i++)
            CU_ASSERT_EQUAL_FATAL(pthread_create(&t[i], NULL, race, NULL), 0);
        for (unsigned i = 0; i < 4; i++)
            pthread_join(t[i], NULL);
        CU_ASSERT(asked[0] == 1 && asked[3] == 1);
        xf_large_free(&l);
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a whole range is populated once, at its first page", test_whole},
        {"what keeps a range small", test_small},
        {"parts of large pages are refused", test_refused},
        {"threads that need a range wait for it", test_threads},
        CU_TEST_INFO_NULL,
    };

    return run_suite("large pages", tests);
}
