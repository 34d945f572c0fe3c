/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which processes are believed to be Xen's save helper: a procfs made up here, and the real one. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libxl-ext/xen/save_helper.h"
#include "tests/unit/suite.h"

#define HELPER "/usr/lib/xen-4.17/bin/libxl-save-helper"
#define ARGS                                                                                       \
    "libxl-save-helper\0--save-domain\0"                                                           \
    "8\0"                                                                                          \
    "9\0"                                                                                          \
    "5\0"                                                                                          \
    "0\0"

static char proc[] = "/tmp/xf-proc-XXXXXX";

static void put(const char *pid, const char *name, const void *data, size_t len)
{
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", proc, pid);
    mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/%s/%s", proc, pid, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CU_ASSERT_FATAL(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    close(fd);
}

static void put_exe(const char *pid, const char *to)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s/exe", proc, pid);
    unlink(path);
    if (to)
        CU_ASSERT_EQUAL_FATAL(symlink(to, path), 0);
}

static void put_uids(const char *ids)
{
    char status[200];
    int n = snprintf(status, sizeof(status),
                     "Name:\tlibxl-save-help\nUmask:\t0022\nUid:\t%s\nGid:\t0\t0\t0\t0\n", ids);

    put("300", "status", status, (size_t)n);
}

static void begin(void)
{
    put("300", "cmdline", ARGS, sizeof(ARGS) - 1);
    put_uids("0\t0\t0\t0");
    put_exe("300", HELPER);
    put("7", "cmdline", "", 0); /* a thread of the kernel, and what is no process */
    put("7", "status", "Name:\tkthreadd\nUid:\t0\t0\t0\t0\n", 29);
    put("self", "cmdline", ARGS, sizeof(ARGS) - 1);
}

static void test_real_one(void)
{
    begin();
    CU_ASSERT(xf_save_helper_runs(proc, 5));
    CU_ASSERT(!xf_save_helper_runs(proc, 6));
    CU_ASSERT(!xf_save_helper_runs("/nonexistent", 5));
    /* an upgrade has replaced it meanwhile */
    put_exe("300", HELPER " (deleted)");
    CU_ASSERT(xf_save_helper_runs(proc, 5));
    put_exe("300", "/usr/local/lib/xen/bin/libxl-save-helper");
    CU_ASSERT(xf_save_helper_runs(proc, 5));
}

/* Everybody can do this. */
static void test_not_roots(void)
{
    static const char *const ids[] = {"1000\t1000\t1000\t1000", "1000\t0\t0\t0", "0\t1000\t0\t0",
                                      "0\t0\t0\t1000",          "1000\t0",       ""};

    begin();
    for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        put_uids(ids[i]);
        CU_ASSERT(!xf_save_helper_runs(proc, 5));
    }
}

/* Another program under that name, run by root for somebody else (su, sudo). */
static void test_not_xens(void)
{
    static const char *const exe[] = {"/usr/bin/sudo",
                                      "/tmp/xen/bin/libxl-save-helper",
                                      "/home/u/libxl-save-helper",
                                      "/usr/lib/xen-4.17/bin/../../../../tmp/libxl-save-helper",
                                      HELPER "x",
                                      "/usr/lib/xen-4.17/bin/xl (deleted)",
                                      "/usr/lib/xen/u/bin/libxl-save-helper",
                                      " (deleted)",
                                      NULL};

    begin();
    for (unsigned i = 0; i < sizeof(exe) / sizeof(exe[0]); i++) {
        put_exe("300", exe[i]);
        CU_ASSERT(!xf_save_helper_runs(proc, 5));
    }
}

static void test_other_words(void)
{
    static const struct {
        const char *args;
        size_t len;
    } t[] = {
        {"libxl-save-helper\0--restore-domain\0"
         "8\0"
         "9\0"
         "5\0",
         41},
        {"libxl-save-helper\0--save-domain\0"
         "8\0"
         "9\0",
         36},
        {"libxl-save-helper\0--save-domain\0"
         "8\0"
         "9\0"
         "5x\0",
         39},
        {"libxl-save-helper\0--save-domain\0"
         "8\0"
         "9\0\0",
         37},
        {"libxl-save-helper", 17},
        {"", 0},
    };

    begin();
    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        put("300", "cmdline", t[i].args, t[i].len);
        CU_ASSERT(!xf_save_helper_runs(proc, 5));
    }
}

/* In the real procfs: this program with a helper's command line. */
static void test_impostor(void)
{
    int ready[2];
    char byte;
    pid_t pid;

    CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        dup2(ready[1], STDOUT_FILENO);
        execl("/proc/self/exe", "libxl-save-helper", "--save-domain", "8", "9", "77077", NULL);
        _exit(127);
    }
    close(ready[1]);
    CU_ASSERT_EQUAL(read(ready[0], &byte, 1), 1); /* it is up, under that name */
    CU_ASSERT(!xf_save_helper_runs("/proc", 77077));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(ready[0]);
}

static int impostor(void)
{
    if (write(STDOUT_FILENO, "x", 1) == 1)
        pause();
    return 1;
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"Xen's own", test_real_one},
        {"a process of somebody else", test_not_roots},
        {"another program of root's", test_not_xens},
        {"other command lines", test_other_words},
        {"an impostor that runs", test_impostor},
        CU_TEST_INFO_NULL,
    };
    char line[64];
    int rc;

    if (argc > 1 && !strcmp(argv[1], "--save-domain"))
        return impostor();
    if (!mkdtemp(proc))
        return 2;
    rc = run_suite("save helper", tests);
    snprintf(line, sizeof(line), "rm -rf %s", proc);
    return system(line) ? 2 : rc; /* NOLINT(cert-env33-c): our own words */
}
