/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bandwidth that moves share, as what each is told to wait; nothing here sleeps. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/moves/budget.h"
#include "libxl-ext/moves/slot.h"
#include "tests/unit/suite.h"
#include "transport/clock.h"

#define RATE (1u << 20) /* a batch takes 4 s: this machine may be slow */

static char dir[] = "/tmp/xf-budget-XXXXXX", file[60];
static struct xf_err err;

static struct xf_budget open_it(void)
{
    struct xf_budget b;

    xf_clear(&err);
    CU_ASSERT_EQUAL_FATAL(xf_budget_open(&b, RATE, &err), 0);
    return b;
}

static bool about(double wait, double wanted, double began)
{
    double passed = xf_now() - began;
    bool is = wait <= wanted + 0.01 && wait >= wanted - passed - 0.21;

    if (!is)
        fprintf(stderr, "%.3f s, not %.3f; %.3f have passed\n", wait, wanted, passed);
    return is;
}

/* However many they are, the sum is what it is for one; and whoever comes waits behind those who
 * came. */
static void test_sum(void)
{
    struct xf_budget b[8];
    double began = xf_now();

    for (unsigned i = 0; i < 8; i++)
        b[i] = open_it();
    for (unsigned i = 0; i < 64; i++)
        CU_ASSERT(about(xf_budget_spend(&b[i % 8], XF_BUDGET_BATCH), 4.0 * i, began));
    for (unsigned i = 0; i < 8; i++)
        xf_budget_close(&b[i]);
    unlink(file);
}

/* Whoever dies takes nothing with him. */
static void test_dead(void)
{
    struct xf_budget b = open_it();
    double began = xf_now();
    pid_t pid = fork();

    if (!pid) {
        struct xf_budget mine;

        if (!xf_budget_open(&mine, RATE, NULL))
            xf_budget_spend(&mine, XF_BUDGET_BATCH);
        flock(mine.fd, LOCK_EX);
        raise(SIGKILL);
    }
    waitpid(pid, NULL, 0);
    CU_ASSERT(about(xf_budget_spend(&b, XF_BUDGET_BATCH), 4, began));
    CU_ASSERT(about(xf_budget_spend(&b, XF_BUDGET_BATCH), 8, began));
    xf_budget_close(&b);
    unlink(file);
}

/* A stopped process has the lock: this move keeps to the rate by itself. */
static void test_locked(void)
{
    struct xf_budget b = open_it(), other = open_it();
    double began = xf_now();

    CU_ASSERT_EQUAL(flock(other.fd, LOCK_EX), 0);
    CU_ASSERT(about(xf_budget_spend(&b, XF_BUDGET_BATCH), 0, began));
    CU_ASSERT(about(xf_budget_spend(&b, XF_BUDGET_BATCH), 4, began));
    CU_ASSERT(about(xf_budget_spend(&b, XF_BUDGET_BATCH), 8, began));
    CU_ASSERT(xf_now() - began < 30);
    xf_budget_close(&other);
    xf_budget_close(&b);
    unlink(file);
}

/* What is in the file may be anything. */
static void test_damaged(void)
{
    static const uint64_t odd[] = {0, 1, UINT64_MAX, UINT64_MAX / 2, 0x2020202020202020};
    struct xf_budget b = open_it();

    for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        double began = xf_now();

        CU_ASSERT_EQUAL(pwrite(b.fd, &odd[i], sizeof(odd[i]), 0), (ssize_t)sizeof(odd[i]));
        CU_ASSERT(about(xf_budget_spend(&b, XF_BUDGET_BATCH), 0, began));
        CU_ASSERT(about(xf_budget_spend(&b, XF_BUDGET_BATCH), 4, began));
    }
    for (int len = 0; len < 8; len++) {
        double began = xf_now();

        CU_ASSERT_EQUAL(truncate(file, len), 0);
        CU_ASSERT(about(xf_budget_spend(&b, XF_BUDGET_BATCH), 0, began));
        CU_ASSERT(about(xf_budget_spend(&b, XF_BUDGET_BATCH), 4, began));
    }
    xf_budget_close(&b);

    CU_ASSERT_EQUAL(chmod(file, 0644), 0);
    CU_ASSERT_EQUAL(xf_budget_open(&b, RATE, &err), -1);
    CU_ASSERT(err.num == EPERM && strstr(err.text, "bandwidth") && b.fd == -1);
    CU_ASSERT_EQUAL(xf_budget_spend(&b, XF_BUDGET_BATCH), 0);
    unlink(file);
    CU_ASSERT_EQUAL(symlink("/etc/passwd", file), 0);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_budget_open(&b, RATE, &err), -1);
    CU_ASSERT_EQUAL(err.num, ELOOP);
    unlink(file);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"the sum", test_sum},
        {"a process dies", test_dead},
        {"a process keeps the lock", test_locked},
        {"damaged files", test_damaged},
        CU_TEST_INFO_NULL,
    };
    int rc;

    if (!mkdtemp(dir) || setenv(XF_RUN_DIR_ENV, dir, 1))
        return 2;
    snprintf(file, sizeof(file), "%s/bandwidth", dir);
    rc = run_suite("budget", tests);
    rmdir(dir);
    return rc;
}
