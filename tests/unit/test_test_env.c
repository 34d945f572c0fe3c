/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Variables that are for tests: root's are taken and leave a line in the log, anybody else's are
 * ignored. Each case runs in a child, which may give its rights away.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "postcopy/server.h"
#include "precopy/hold.h"
#include "tests/unit/fake_log.h"
#include "tests/unit/suite.h"
#include "transport/test_env.h"

#define NAME "XENFERRY_HOLD"
#define NOBODY 65534u

/* Bits of a child's exit status. */
enum { TAKEN = 1, SAID_TAKEN = 2, SAID_IGNORED = 4, UNCLEAR = 8, IMPOSSIBLE = 16 };

static bool is_still(uid_t real, uid_t effective)
{
    return getuid() == real && geteuid() == effective;
}

static int look(void)
{
    const char *value = xf_test_env(NAME);
    int seen = 0;

    if (value)
        seen |= strcmp(value, "before-go=/tmp/x") ? UNCLEAR : TAKEN;
    if (strstr(fake_log_last(), NAME ", which is for tests, is in effect"))
        seen |= SAID_TAKEN;
    if (strstr(fake_log_last(), NAME " is ignored: only root may set it"))
        seen |= SAID_IGNORED;
    return seen;
}

/* What a process with these ids makes of the variable. `set`: it is set at all. */
static int as(uid_t real, uid_t effective, bool set)
{
    int status = -1;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (!pid) {
        if (set)
            setenv(NAME, "before-go=/tmp/x", 1);
        else
            unsetenv(NAME);
        if (!is_still(real, effective) && setresuid(real, effective, effective))
            _exit(IMPOSSIBLE);
        _exit(look());
    }
    CU_ASSERT_FATAL(pid > 0);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_root(void)
{
    if (geteuid()) {
        printf("skipped: not root\n");
        return;
    }
    CU_ASSERT_EQUAL(as(0, 0, true), TAKEN | SAID_TAKEN);
    CU_ASSERT_EQUAL(as(0, 0, false), 0);
}

static void test_user(void)
{
    uid_t me = getuid() ? getuid() : NOBODY;

    CU_ASSERT_EQUAL(as(me, me, true), SAID_IGNORED);
    CU_ASSERT_EQUAL(as(me, me, false), 0);
}

/* As a program that is setuid root runs, and root's that goes by another name for a while. */
static void test_half_root(void)
{
    if (geteuid()) {
        printf("skipped: not root\n");
        return;
    }
    CU_ASSERT_EQUAL(as(NOBODY, 0, true), SAID_IGNORED);
    CU_ASSERT_EQUAL(as(0, NOBODY, true), SAID_IGNORED);
}

static int no_tick(void *priv, struct xf_err *err)
{
    (void)priv;
    return xf_fail(err, ECANCELED, "it held");
}

/* The engine's own readers: nothing is held, and no order of pushes changed, for anybody else. */
static void test_readers(void)
{
    char file[] = "/tmp/xf-hold-XXXXXX", hold[64];
    int fd = mkstemp(file), status = -1;
    pid_t pid;

    CU_ASSERT_FATAL(fd >= 0);
    close(fd);
    unlink(file);
    snprintf(hold, sizeof(hold), "before-go=%s", file);
    fflush(NULL);
    pid = fork();
    if (!pid) {
        struct xf_server_opts opts = {0};
        struct xf_err err = {0};

        setenv(NAME, hold, 1);
        setenv("XENFERRY_PULL", "linear", 1);
        if (!getuid() && setresuid(NOBODY, NOBODY, NOBODY))
            _exit(IMPOSSIBLE);
        _exit(xf_hold("before-go", (struct xf_tick){no_tick, NULL}, &err) ||
              access(file, F_OK) == 0 || xf_server_opts_env(&opts, &err) || opts.linear);
    }
    waitpid(pid, &status, 0);
    CU_ASSERT(WIFEXITED(status) && !WEXITSTATUS(status));
    if (geteuid())
        return;
    /* And they are for root. */
    setenv(NAME, hold, 1);
    struct xf_err err = {0};
    CU_ASSERT_EQUAL(xf_hold("before-go", (struct xf_tick){no_tick, NULL}, &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text, "it held");
    unsetenv(NAME);
    unlink(file);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"root's", test_root},
        {"a user's", test_user},
        {"half root's", test_half_root},
        {"who reads them", test_readers},
        CU_TEST_INFO_NULL,
    };

    return run_suite("test_env", tests);
}
