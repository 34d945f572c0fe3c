/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The slots of a host: as many as its limit, held until their holder gives them back or dies. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/moves/slot.h"
#include "tests/unit/suite.h"

#define LONG_MS 60000

static char dir[] = "/tmp/xf-slot-XXXXXX", first[60];

static unsigned busy(void)
{
    struct xf_err err = {0};
    unsigned n = 99;

    CU_ASSERT_EQUAL(xf_slots_busy(&n, &err), 0);
    return n;
}

static void test_slots(void)
{
    struct xf_err err = {0};
    int fd[6];
    unsigned n;

    for (unsigned i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(xf_slot_take(5, &fd[i], &n, &err), 0);
        CU_ASSERT_EQUAL(n, i + 1);
    }
    CU_ASSERT_EQUAL(xf_slot_take(5, &fd[5], &n, &err), XF_SLOT_NONE);
    CU_ASSERT(n == 5 && fd[5] == -1);
    /* All of a host count, also if its limit has been lowered since. */
    xf_slot_give(&fd[0]);
    CU_ASSERT_EQUAL(xf_slot_take(4, &fd[0], &n, &err), XF_SLOT_NONE);
    CU_ASSERT_EQUAL(xf_slot_take(5, &fd[0], &n, &err), 0);
    for (unsigned i = 0; i < 5; i++)
        xf_slot_give(&fd[i]);
    CU_ASSERT_EQUAL(fd[0], -1);
    xf_slot_give(&fd[0]);
    CU_ASSERT_EQUAL(busy(), 0);
    for (unsigned i = 0; i < XF_MOVES_MAX; i++) {
        int all;

        CU_ASSERT_EQUAL(xf_slot_take(XF_MOVES_MAX, &all, &n, &err), 0);
    }
    CU_ASSERT_EQUAL(xf_slot_take(XF_MOVES_MAX, &fd[0], &n, &err), XF_SLOT_NONE);
    CU_ASSERT_EQUAL(n, XF_MOVES_MAX);
    for (int i = 3; i < 200; i++) {
        char link[60], to[200] = "";

        snprintf(link, sizeof(link), "/proc/self/fd/%d", i);
        if (readlink(link, to, sizeof(to) - 1) > 0 && strstr(to, "/slot."))
            close(i);
    }
    CU_ASSERT_EQUAL(busy(), 0);
    CU_ASSERT_EQUAL(err.num, 0);
}

/* A process that dies gives its slot back, whatever kills it; those who wait are told. */
static void test_killed(void)
{
    struct xf_err err = {0};
    int fd, ready[2], watch;
    unsigned n;
    pid_t pid;
    char c;

    CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
    pid = fork();
    if (!pid) {
        if (xf_slot_take(1, &fd, &n, &err) || write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    CU_ASSERT_EQUAL_FATAL(read(ready[0], &c, 1), 1);
    CU_ASSERT_EQUAL(xf_slot_take(1, &fd, &n, &err), XF_SLOT_NONE);
    watch = xf_slot_watch();
    CU_ASSERT(watch >= 0);
    CU_ASSERT_FALSE(xf_slot_await(watch, 1));
    kill(pid, SIGKILL);
    CU_ASSERT_TRUE(xf_slot_await(watch, LONG_MS));
    waitpid(pid, NULL, 0);
    CU_ASSERT_EQUAL(xf_slot_take(1, &fd, &n, &err), 0);
    xf_slot_give(&fd);
    close(watch);
    close(ready[0]);
    close(ready[1]);
}

/* A file that somebody else could have written is no slot. A gate that is held is not waited for
 * without end. */
static void test_damaged(void)
{
    struct xf_err err = {0};
    unsigned n;
    int fd;

    CU_ASSERT_EQUAL(xf_slot_take(2, &fd, &n, &err), 0);
    xf_slot_give(&fd);
    CU_ASSERT_EQUAL(chmod(first, 0666), 0);
    CU_ASSERT_EQUAL(xf_slot_take(2, &fd, &n, &err), -1);
    CU_ASSERT(err.num == EPERM && strstr(err.text, "slot.0") && fd == -1);
    unlink(first);
    CU_ASSERT_EQUAL(symlink("/etc/passwd", first), 0);
    CU_ASSERT_EQUAL(xf_slot_take(2, &fd, &n, &err), -1);
    unlink(first);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_slot_take(2, &fd, &n, &err), 0);
    xf_slot_give(&fd);
}

static void test_marked(void)
{
    struct xf_key one = {{1}}, two = {{2}};
    struct xf_err err = {0};
    unsigned n;
    int fd;

    CU_ASSERT_FALSE(xf_slot_marked(&one));
    CU_ASSERT_EQUAL(xf_slot_take(2, &fd, &n, &err), 0);
    CU_ASSERT_EQUAL(xf_slot_mark(fd, &one, &err), 0);
    CU_ASSERT_TRUE(xf_slot_marked(&one));
    CU_ASSERT_FALSE(xf_slot_marked(&two));
    xf_slot_give(&fd);
    CU_ASSERT_FALSE(xf_slot_marked(&one)); /* nobody holds it */
    CU_ASSERT_EQUAL(xf_slot_take(2, &fd, &n, &err), 0);
    CU_ASSERT_FALSE(xf_slot_marked(&one)); /* nor is it the same move */
    xf_slot_give(&fd);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"limit", test_slots},
        {"a holder is killed", test_killed},
        {"damaged files", test_damaged},
        {"marked", test_marked},
        CU_TEST_INFO_NULL,
    };
    char cmd[60];
    int rc;

    if (!mkdtemp(dir) || setenv(XF_RUN_DIR_ENV, dir, 1))
        return 2;
    snprintf(first, sizeof(first), "%s/slot.0", dir);
    rc = run_suite("slot", tests);
    snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
    return system(cmd) ? 2 : rc;
}
