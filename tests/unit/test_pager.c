/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pager that does not get what it needs: before GO that is a failure of the move, after GO it
 * is one of the link, for the guest has nobody else, and later there may be enough.
 */
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "postcopy/pager.h"
#include "precopy/absent.h"
#include "tests/unit/fake_move.h"
#include "tests/unit/suite.h"

static struct move m;
static struct xf_absent absent;
static int never; /* a descriptor that is never readable */

static int fault_fd(struct xf_sink_vm *vm)
{
    (void)vm;
    return never;
}

static int read_faults(struct xf_sink_vm *vm, struct xf_fault *list, unsigned max,
                       struct xf_err *err)
{
    (void)vm;
    (void)list;
    (void)max;
    (void)err;
    return 0;
}

static const struct xf_pager_ops ops = {.fault_fd = fault_fd, .read_faults = read_faults};

static int tick(void *priv, struct xf_err *err)
{
    (void)priv;
    (void)err;
    return 0;
}

/* A guest at the sink that lacks one page, and a link. */
static void begin(void)
{
    CU_ASSERT_FATAL(move_open(&m, false, 2));
    never = eventfd(0, EFD_CLOEXEC);
    CU_ASSERT_FATAL(never >= 0);
    m.f->dst.pager = &ops;
    CU_ASSERT_FATAL(xf_absent_init(&absent, &m.f->dst, NULL) == 0);
    m.f->dst.absent = &absent;
    xf_set(absent.missing, 100);
    absent.nr = absent.at_go = 1;
}

static void end(void)
{
    close(never);
    xf_absent_free(&absent);
    CU_ASSERT_EQUAL(m.f->views, 0);
    CU_ASSERT(move_close(&m));
}

static void test_before_go(void)
{
    struct xf_pager *p = NULL;
    struct xf_err err = {0};

    begin();
    m.f->fail[FAKE_SINK_VIEW] = 1;
    CU_ASSERT_EQUAL(xf_pager_new(&p, &m.f->dst, 0, &err), -1);
    CU_ASSERT(err.num && err.text[0] && !p);
    if (p)
        xf_pager_free(p);
    end();
}

/* One of two pulling threads has no view. */
static void test_after_go(void)
{
    struct xf_pager *p = NULL;
    struct xf_err err = {0};

    begin();
    m.f->fail[FAKE_SINK_VIEW] = 3;
    CU_ASSERT_EQUAL_FATAL(xf_pager_new(&p, &m.f->dst, 0, &err), 0);
    xf_pager_start(p, &m.sink);
    CU_ASSERT_EQUAL(xf_pager_run(p, tick, NULL, &err), XF_PULL_LOST);
    CU_ASSERT(err.num && err.text[0]);
    CU_ASSERT_EQUAL(xf_pager_check(p, NULL), XF_PULL_LOST); /* and the next link may do */
    xf_pager_free(p);
    end();
}

int main(void)
{
    CU_TestInfo tests[] = {{"before GO it cannot be had", test_before_go},
                           {"after GO a thread of its cannot be had", test_after_go},
                           CU_TEST_INFO_NULL};

    return run_suite("pager", tests);
}
