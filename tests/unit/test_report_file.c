/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `xl migrate --report FILE`: FILE is tried before the move begins, written after its end whatever
 * that was, and nothing about it changes the end. The move is played by an xf_move() of this file;
 * each call runs in a child.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libxl-ext/moves/history.h"
#include "tests/unit/suite.h"
#include "tools/front.h"

static char dir[] = "/tmp/xf-report-XXXXXX";
static char out[4096], err_text[4096];

/* What the played move does; set before the fork. */
static enum xf_outcome outcome;
static const char *remove_dir; /* is gone at its end; NULL: none */

enum xf_outcome xf_move(const struct xf_move_opts *o, const struct xf_watch *w,
                        struct xf_report *report, struct xf_err *err)
{
    (void)w;
    printf("moving\n");
    snprintf(report->domain, sizeof(report->domain), "%s", o->domain);
    snprintf(report->host, sizeof(report->host), "%s", o->host);
    report->outcome = outcome;
    report->total_s = 3;
    report->phase_s[XF_PHASE_COPY] = 3;
    if (o->history)
        for (int i = 0; i < 3; i++)
            xf_history_sample(o->history, &(struct xf_history_sample){
                                              .at_s = i, .phase = XF_PHASE_COPY, .pages = 1000});
    if (outcome != XF_MOVED)
        xf_fail(err, EIO, "the link was lost");
    /* --no-wait leaves the working directory, too. */
    if (chdir("/") || (remove_dir && rmdir(remove_dir)))
        abort();
    return outcome;
}

static void read_back(FILE *f, char text[4096])
{
    rewind(f);
    text[fread(text, 1, 4095, f)] = 0;
    fclose(f);
}

/* The exit status of `xl migrate --report FILE WORDS web1 host2`, called in `dir`. */
static int run(const char *file, const char *words)
{
    FILE *o = tmpfile(), *e = tmpfile();
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        struct words w;
        struct front f;

        split_words(&w, "xl", "migrate --report FILE");
        w.argv[3] = (char *)file;
        if (words[0])
            w.argv[w.argc++] = (char *)words;
        w.argv[w.argc++] = "web1";
        w.argv[w.argc++] = "host2";
        w.argv[w.argc] = NULL;
        if (chdir(dir) || dup2(fileno(o), 1) < 0 || dup2(fileno(e), 2) < 0 ||
            front_parse(w.argc, w.argv, &f))
            _exit(99);
        status = cmd_migrate(&f);
        fflush(NULL);
        _exit(status);
    }
    CU_ASSERT(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    read_back(o, out);
    read_back(e, err_text);
    return WEXITSTATUS(status);
}

static bool moved(void)
{
    return strstr(out, "moving") != NULL;
}

/* Is this text in the file? It is removed. */
static bool holds(const char *name, const char *text)
{
    static char page[1 << 16];
    char path[100];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "r");
    if (!f)
        return false;
    page[fread(page, 1, sizeof(page) - 1, f)] = 0;
    fclose(f);
    unlink(path);
    return strstr(page, text) != NULL;
}

static void test_written(void)
{
    outcome = XF_MOVED;
    CU_ASSERT_EQUAL(run("a.html", ""), 0);
    CU_ASSERT(moved() && holds("a.html", "aria-label=\"Rates over time\""));
    CU_ASSERT_EQUAL(run("a.html", "--quiet"), 0);
    CU_ASSERT(holds("a.html", "web1 to host2: moved"));
    CU_ASSERT_EQUAL(run("a.html", "--json"), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "\"history\":{\"rounds\":[],\"samples\":{\"at_s\":[0."));
    CU_ASSERT(holds("a.html", "web1 to host2: moved"));
    outcome = XF_STAYED;
    CU_ASSERT_EQUAL(run("a.html", ""), XF_STAYED);
    CU_ASSERT(holds("a.html", "the link was lost"));
}

static void test_refused(void)
{
    static const char *const files[] = {"none/a.html", "/dev/null", ".", "", "b/"};

    outcome = XF_MOVED;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        CU_ASSERT_EQUAL(run(files[i], ""), XF_REFUSED);
        CU_ASSERT(!moved() && strstr(err_text, "xl migrate: cannot write "));
    }
    CU_ASSERT_EQUAL(run("a.html", "--check"), XF_REFUSED);
    CU_ASSERT(!moved() && strstr(err_text, "contradict"));
}

/* The file can no longer be written: the end is the same, and says so. */
static void test_gone(void)
{
    static char sub[64];

    snprintf(sub, sizeof(sub), "%s/sub", dir);
    remove_dir = sub;
    for (int i = 0; i < 2; i++) {
        outcome = i ? XF_STAYED : XF_MOVED;
        CU_ASSERT_EQUAL(mkdir(sub, 0700), 0);
        CU_ASSERT_EQUAL(run("sub/a.html", ""), (int)outcome);
        CU_ASSERT(moved() && strstr(err_text, "xl migrate: warning: cannot write "));
    }
    remove_dir = NULL;
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"written at the end", test_written},
        {"refused before the move", test_refused},
        {"gone meanwhile", test_gone},
        CU_TEST_INFO_NULL,
    };
    int rc;

    if (!mkdtemp(dir) || setenv("XENFERRY_CONFIG", "/nonexistent", 1) ||
        setenv("XENFERRY_RUN_DIR", dir, 1))
        return 2;
    rc = run_suite("report file", tests);
    rmdir(dir);
    return rc;
}
