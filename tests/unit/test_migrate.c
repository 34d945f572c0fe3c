/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What `xl migrate` and its sisters print and return for every outcome of a move. The move
 * is played by an xf_move() of this file; each call runs in a child whose output is kept.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-c/json.h>

#include "tests/unit/suite.h"
#include "tools/front.h"
#include "tools/options.h"

/* How the played move goes; set before the fork. */
static enum xf_outcome outcome;
static bool wait_for_signal, nameless;

enum xf_outcome xf_move(const struct xf_move_opts *o, const struct xf_watch *w,
                        struct xf_report *report, struct xf_err *err)
{
    struct xf_finding warning = {XF_WARNING, "cpu-policy", "the destination lacks avx2"};
    struct xf_finding refusal = {XF_REFUSAL, "memory", "too little of it there"};
    struct xf_progress p = {.phase = XF_PHASE_COPY,
                            .round = 1,
                            .round_pages = 100,
                            .predicted_down_s = -1,
                            .eta_s = -1};

    memset(report, 0, sizeof(*report));
    report->downtime_s = -1;
    report->outcome = outcome;
    if (!nameless) {
        snprintf(report->domain, sizeof(report->domain), "%s", o->domain);
        snprintf(report->host, sizeof(report->host), "%s", o->host);
    }
    w->finding(w->priv, &warning);
    if (outcome == XF_REFUSED)
        w->finding(w->priv, &refusal);
    w->note(w->priv, "a note");
    if (!o->check_only)
        w->progress(w->priv, &p);
    if (o->config_file)
        dprintf(STDERR_FILENO, "%s is read by %s\n", o->config_file, o->real_xl);
    if (wait_for_signal) {
        raise(SIGINT);
        raise(SIGTERM);
        raise(SIGHUP);
        raise(SIGPIPE);
        report->outcome = *o->cancel ? XF_STAYED : XF_MOVED;
    }
    if (report->outcome != XF_MOVED)
        xf_fail(err, ECONNRESET, "the connection broke");
    else
        report->downtime_s = 0.084;
    return report->outcome;
}

int xf_resume_here(const char *domain, bool force, struct xf_err *err)
{
    if (!strcmp(domain, "away") && !force)
        return xf_fail(err, EEXIST, "it runs at host2");
    return strcmp(domain, "g2") ? 0 : xf_fail(err, ENOENT, "there is no domain %s here", domain);
}

enum xf_outcome xf_recover(const struct xf_recover_opts *o, const struct xf_watch *w,
                           struct xf_report *report, struct xf_err *err)
{
    memset(report, 0, sizeof(*report));
    report->downtime_s = report->predicted_down_s = -1;
    snprintf(report->domain, sizeof(report->domain), "%s", o->domain);
    snprintf(report->host, sizeof(report->host), "%s", o->host ? o->host : "recorded");
    report->outcome = outcome;
    w->note(w->priv, "a note");
    if (wait_for_signal) {
        raise(SIGINT);
        report->outcome = *o->cancel == 1 ? XF_PULLING : XF_MOVED;
    }
    if (report->outcome != XF_MOVED)
        xf_fail(err, ECONNREFUSED, "nobody listens");
    else
        report->left_out = nameless ? 0 : 4321;
    return report->outcome;
}

static char out[65536], errs[65536];

static void slurp(FILE *f, char buf[65536])
{
    size_t n;

    rewind(f);
    n = fread(buf, 1, 65535, f);
    buf[n] = '\0';
    fclose(f);
}

/* Run "xl WORDS"; returns its exit status, or -1 for another end. */
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
        if (front_parse(w.argc, w.argv, &f) || !f.cmd)
            _exit(99);
        status = (strcmp(w.argv[f.cmd], "migrate") ? cmd_migrate_recover : cmd_migrate)(&f);
        fflush(NULL);
        _exit(status);
    }
    waitpid(pid, &status, 0);
    slurp(o, out);
    slurp(e, errs);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* How many lines of `out` are objects with this type; every line has to be an object. */
static int objects(const char *type)
{
    int found = 0;

    for (char *p = out; *p;) {
        size_t len = strcspn(p, "\n");
        char *line = strndup(p, len);
        struct json_object *o = json_tokener_parse(line), *t;
        CU_ASSERT_PTR_NOT_NULL(o);
        if (o && json_object_object_get_ex(o, "type", &t))
            found += !strcmp(json_object_get_string(t), type);
        json_object_put(o);
        free(line);
        p += len + (p[len] == '\n');
    }
    return found;
}

static void begin(enum xf_outcome o)
{
    outcome = o;
    wait_for_signal = nameless = false;
}

static void test_moved(void)
{
    begin(XF_MOVED);
    CU_ASSERT_EQUAL(run("migrate --tcp g1 host2"), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "g1 moved to host2"));
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "xl migrate: warning: the destination lacks avx2\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "xl migrate: a note\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "COPY round 1"));
    CU_ASSERT_PTR_NULL(strchr(errs, '\r')); /* a file is no terminal */
    CU_ASSERT_EQUAL(run("-t migrate --tcp g1 host2"), 0);
    CU_ASSERT_PTR_NOT_NULL(strchr(errs, '\r')); /* -t says to treat it as one */

    CU_ASSERT_EQUAL(run("migrate --quiet g1 host2"), 0);
    CU_ASSERT_STRING_EQUAL(out, "");
    CU_ASSERT_STRING_EQUAL(errs, "");

    CU_ASSERT_EQUAL(run("migrate --json g1 host2"), 0);
    CU_ASSERT_STRING_EQUAL(errs, "");
    CU_ASSERT_EQUAL(objects("finding"), 1);
    CU_ASSERT_EQUAL(objects("note"), 1);
    CU_ASSERT_EQUAL(objects("progress"), 1);
    CU_ASSERT_EQUAL(objects("error"), 0);
    CU_ASSERT_EQUAL(objects("report"), 1);

    CU_ASSERT_EQUAL(run("migrate --json --quiet g1 host2"), 0);
    CU_ASSERT_EQUAL(objects("report"), 1);
    CU_ASSERT_EQUAL(strcspn(out, "\n") + 1, strlen(out));
}

static void test_check(void)
{
    begin(XF_MOVED);
    CU_ASSERT_EQUAL(run("migrate --check g1 host2"), 0);
    CU_ASSERT_STRING_EQUAL(out, "Nothing stands against moving g1 to host2.\n");
    begin(XF_REFUSED);
    CU_ASSERT_EQUAL(run("migrate --check --quiet g1 host2"), 1);
    /* A refusal is an error: --quiet does not hide it. */
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "refused: too little of it there"));
    CU_ASSERT_PTR_NULL(strstr(errs, "avx2"));
}

static void test_failures(void)
{
    static const struct {
        enum xf_outcome outcome;
        const char *word, *says;
    } cases[] = {
        {XF_REFUSED, "refused", "g1 was not touched"},
        {XF_STAYED, "stayed", "g1 never stopped"},
        {XF_RESUMED, "resumed", "g1 was resumed"},
        {XF_UNKNOWN, "unknown", "`xl migrate-recover --resume g1`"},
        {XF_SUSPENDED, "suspended", "`xl migrate-recover --resume g1`"},
        {XF_PULLING, "pulling", "`xl migrate-recover g1`"},
    };
    char word[40];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin(cases[i].outcome);
        nameless = i % 2; /* a report cut short still names both */
        CU_ASSERT_EQUAL(run("migrate --tcp g1 host2"), (int)cases[i].outcome);
        CU_ASSERT_STRING_EQUAL(out, "");
        CU_ASSERT_PTR_NOT_NULL(strstr(errs, "xl migrate: the connection broke\n"));
        CU_ASSERT_PTR_NOT_NULL(strstr(errs, cases[i].says));
        CU_ASSERT_EQUAL(run("migrate --quiet g1 host2"), (int)cases[i].outcome);
        CU_ASSERT_PTR_NOT_NULL(strstr(errs, cases[i].says));
        CU_ASSERT_EQUAL(run("migrate --json g1 host2"), (int)cases[i].outcome);
        CU_ASSERT_EQUAL(objects("error"), 1);
        CU_ASSERT_EQUAL(objects("report"), 1);
        snprintf(word, sizeof(word), "\"outcome\":\"%s\"", cases[i].word);
        CU_ASSERT_PTR_NOT_NULL(strstr(out, word));
        CU_ASSERT_PTR_NOT_NULL(strstr(out, cases[i].says));
        CU_ASSERT_EQUAL(run("migrate --json --quiet g1 host2"), (int)cases[i].outcome);
        CU_ASSERT_EQUAL(objects("error"), 0);
        CU_ASSERT_EQUAL(objects("report"), 1);
    }
}

static void test_signals(void)
{
    char *first;

    begin(XF_MOVED);
    wait_for_signal = true;
    CU_ASSERT_EQUAL(run("migrate --tcp g1 host2"), XF_STAYED);
    first = strstr(errs, "cancelling...");
    CU_ASSERT_PTR_NOT_NULL_FATAL(first);
    CU_ASSERT_PTR_NULL(strstr(first + 1, "cancelling..."));
}

static void test_usage(void)
{
    begin(XF_MOVED);
    CU_ASSERT_EQUAL(run("migrate --tcp g1"), 1);
    CU_ASSERT_STRING_EQUAL(out, "");
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "xl migrate: migrate takes a domain and a host"));
    CU_ASSERT_EQUAL(run("migrate --json g1"), 1);
    CU_ASSERT_EQUAL(objects("error"), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "xl migrate: migrate takes a domain and a host"));
    CU_ASSERT_EQUAL(run("migrate --help"), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "Usage: xl"));
    CU_ASSERT_STRING_EQUAL(errs, "");
}

static void test_config_file(void)
{
    begin(XF_MOVED);
    setenv("XENFERRY_REAL_XL", "/bin/true", 1);
    CU_ASSERT_EQUAL(run("migrate --tcp -C /g1.cfg g1 host2"), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "/g1.cfg is read by /bin/true"));
    setenv("XENFERRY_REAL_XL", "/nowhere", 1);
    CU_ASSERT_EQUAL(run("migrate --tcp -C /g1.cfg g1 host2"), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "XENFERRY_REAL_XL is /nowhere"));
    /* Without -C nobody needs it. */
    CU_ASSERT_EQUAL(run("migrate --tcp g1 host2"), 0);
    unsetenv("XENFERRY_REAL_XL");
}

static void test_recover(void)
{
    static const struct {
        enum xf_outcome outcome;
        const char *word, *says;
    } cases[] = {
        {XF_REFUSED, "refused", "g1 was not touched"},
        {XF_UNKNOWN, "unknown", "`xl migrate-recover g1`"},
        {XF_SUSPENDED, "suspended", "`xl migrate-recover --resume g1`"},
        {XF_PULLING, "pulling", "`xl migrate-recover g1`"},
    };
    char word[40];

    begin(XF_MOVED);
    CU_ASSERT_EQUAL(run("migrate-recover g1"), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "g1 runs at recorded with all its pages: 4.3"));
    CU_ASSERT_STRING_EQUAL(errs, "xl migrate-recover: a note\n");
    nameless = true;
    CU_ASSERT_EQUAL(run("migrate-recover g1 host2"), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "g1 runs at host2 with all its pages; its old domain"));
    CU_ASSERT_EQUAL(run("migrate-recover --quiet g1"), 0);
    CU_ASSERT_STRING_EQUAL(out, "");
    CU_ASSERT_STRING_EQUAL(errs, "");
    CU_ASSERT_EQUAL(run("migrate-recover --json g1"), 0);
    CU_ASSERT_EQUAL(objects("note"), 1);
    CU_ASSERT_EQUAL(objects("report"), 1);
    CU_ASSERT_STRING_EQUAL(errs, "");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin(cases[i].outcome);
        CU_ASSERT_EQUAL(run("migrate-recover g1 host2"), (int)cases[i].outcome);
        CU_ASSERT_STRING_EQUAL(out, "");
        CU_ASSERT_PTR_NOT_NULL(strstr(errs, "xl migrate-recover: nobody listens\n"));
        CU_ASSERT_PTR_NOT_NULL(strstr(errs, cases[i].says));
        CU_ASSERT_EQUAL(run("migrate-recover --json --quiet g1"), (int)cases[i].outcome);
        CU_ASSERT_EQUAL(objects("report"), 1);
        CU_ASSERT_EQUAL(objects("error"), 0);
        snprintf(word, sizeof(word), "\"outcome\":\"%s\"", cases[i].word);
        CU_ASSERT_PTR_NOT_NULL(strstr(out, word));
    }
    begin(XF_MOVED);
    wait_for_signal = true;
    CU_ASSERT_EQUAL(run("migrate-recover g1"), XF_PULLING);
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "cancelling..."));
}

static void test_resume(void)
{
    CU_ASSERT_EQUAL(run("migrate-recover --resume g1"), 0);
    CU_ASSERT_STRING_EQUAL(out, "g1 runs here again.\n");
    CU_ASSERT_EQUAL(run("migrate-recover --resume g2"), 1);
    CU_ASSERT_STRING_EQUAL(errs, "xl migrate-recover: there is no domain g2 here\n");
    CU_ASSERT_EQUAL(run("migrate-recover --resume away"), 1);
    CU_ASSERT_STRING_EQUAL(errs, "xl migrate-recover: it runs at host2\n");
    CU_ASSERT_EQUAL(run("migrate-recover --resume --force away"), 0);
    CU_ASSERT_EQUAL(run("migrate-recover"), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "say with which domain"));
    CU_ASSERT_EQUAL(run("migrate-recover --json"), 1);
    CU_ASSERT_EQUAL(objects("error"), 1);
    CU_ASSERT_EQUAL(run("migrate-recover --resume"), 1);
    CU_ASSERT_EQUAL(run("migrate-recover --resume g1 g2"), 1);
    CU_ASSERT_EQUAL(run("migrate-recover --nonsense g1"), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "no option '--nonsense'"));
    CU_ASSERT_EQUAL(run("migrate-recover --help"), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "--resume"));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"moved", test_moved},
        {"check", test_check},
        {"failures", test_failures},
        {"signals", test_signals},
        {"usage", test_usage},
        {"-C", test_config_file},
        {"migrate-recover", test_recover},
        {"migrate-recover --resume", test_resume},
        CU_TEST_INFO_NULL,
    };

    setenv(XF_CONFIG_ENV, "/nonexistent/xenferry.xml", 1);
    return run_suite("migrate", tests);
}
