/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `xl migrate` without an option of ours, where the configuration makes the move ours: a guest that
 * is refused for a reason of ours only goes by stock xl, with one line that says why. And --cold on
 * the command line. The move and the real xl are played by this file.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/suite.h"
#include "tools/front.h"
#include "tools/incomplete.h"
#include "tools/options.h"
#include "tools/real_xl.h"

static bool concerns_stock, interrupts, lacks_pages; /* how the played move is refused */
static char out[4096], errs[4096];

enum xf_outcome xf_move(const struct xf_move_opts *o, const struct xf_watch *w,
                        struct xf_report *report, struct xf_err *err)
{
    const struct xf_finding refusal = {.severity = XF_REFUSAL, .code = "pv-guest", .text = "a PV"};

    memset(report, 0, sizeof(*report));
    report->outcome = XF_REFUSED;
    report->stock_can = o->or_stock && !concerns_stock;
    if (!report->stock_can)
        w->finding(w->priv, &refusal);
    if (interrupts)
        raise(SIGINT);
    printf("cold %d\n", o->cold);
    xf_fail(err, EPERM, "a PV guest cannot be copied ahead");
    return XF_REFUSED;
}

int incomplete_refuse(const char *domain, unsigned does, struct xf_err *err)
{
    (void)domain;
    return lacks_pages && does & INCOMPLETE_STOPS ? xf_fail(err, EBUSY, "it lacks pages") : 0;
}

int real_xl_become(char *const argv[])
{
    struct sigaction sa;

    printf("stock:");
    for (; *argv; argv++)
        printf(" %s", *argv);
    sigaction(SIGPIPE, NULL, &sa);
    printf(sa.sa_handler == SIG_IGN ? " (ignores SIGPIPE)\n" : "\n");
    return 42;
}

static void slurp(FILE *f, char buf[4096])
{
    size_t n;

    rewind(f);
    n = fread(buf, 1, 4095, f);
    buf[n] = 0;
    fclose(f);
}

static int run(const char *words)
{
    FILE *o = tmpfile(), *e = tmpfile();
    int status;
    pid_t pid = fork();

    if (!pid) {
        struct words w;
        struct front f;

        split_words(&w, "xl", words);
        dup2(fileno(o), STDOUT_FILENO);
        dup2(fileno(e), STDERR_FILENO);
        if (front_parse(w.argc, w.argv, &f))
            _exit(99);
        status = cmd_migrate(&f);
        fflush(NULL);
        _exit(status);
    }
    waitpid(pid, &status, 0);
    slurp(o, out);
    slurp(e, errs);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static unsigned lines(const char *text)
{
    unsigned n = 0;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void test_stock_moves_it(void)
{
    concerns_stock = interrupts = lacks_pages = false;
    CU_ASSERT_EQUAL(run("-v migrate -p web1 host2"), 42);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "stock: xl -v migrate -p web1 host2\n"));
    /* After the version's, one line, perhaps wrapped. */
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "xl migrate: a PV guest cannot be copied ahead; so the"));
    CU_ASSERT(lines(errs) <= 3 && !strstr(errs, "refused"));
}

static void test_not_stock(void)
{
    concerns_stock = true;
    CU_ASSERT_EQUAL(run("migrate web1 host2"), XF_REFUSED);
    CU_ASSERT_PTR_NULL(strstr(out, "stock"));
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "web1 was not touched"));
    concerns_stock = false;
    /* Asked for by an option: no other move than that. */
    CU_ASSERT_EQUAL(run("migrate --tcp web1 host2"), XF_REFUSED);
    CU_ASSERT_PTR_NULL(strstr(out, "stock"));
    CU_ASSERT_EQUAL(run("migrate --check web1 host2"), XF_REFUSED);
    CU_ASSERT_PTR_NULL(strstr(out, "stock"));
    interrupts = true;
    CU_ASSERT_EQUAL(run("migrate web1 host2"), XF_REFUSED);
    CU_ASSERT_PTR_NULL(strstr(out, "stock"));
    interrupts = false;
    lacks_pages = true;
    CU_ASSERT_EQUAL(run("migrate web1 host2"), XF_REFUSED);
    CU_ASSERT_PTR_NULL(strstr(out, "stock"));
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "it lacks pages"));
    lacks_pages = false;
}

static void test_cold(void)
{
    static const char *const others[] = {"--hybrid",           "--precopy",      "--postcopy",
                                         "--postcopy-after 3", "--late-devices", "--stock"};
    char line[100];

    CU_ASSERT_EQUAL(run("migrate --cold web1 host2"), XF_REFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "cold 1\n"));
    CU_ASSERT_EQUAL(run("migrate --tcp web1 host2"), XF_REFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "cold 0\n"));
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        snprintf(line, sizeof(line), "migrate --cold %s web1 host2", others[i]);
        CU_ASSERT_EQUAL(run(line), XF_REFUSED);
        CU_ASSERT(strstr(errs, "contradict each other") && strstr(errs, "cold") && !out[0]);
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"stock xl moves it", test_stock_moves_it},
        {"not by stock xl", test_not_stock},
        {"--cold", test_cold},
        CU_TEST_INFO_NULL,
    };
    char path[] = "/tmp/xf-or-stock-XXXXXX";
    int fd = mkstemp(path), rc;

    if (fd < 0 || dprintf(fd, "<xenferry><migrate transport='tcp'/></xenferry>") < 0)
        return 2;
    close(fd);
    setenv("XENFERRY_CONFIG", path, 1);
    rc = run_suite("or_stock", tests);
    unlink(path);
    return rc;
}
