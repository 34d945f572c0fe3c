/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What `xl migrate` and its sisters print and return for every outcome of a move. The move
 * is played by an xf_move() of this file, other moves by status servers of the test's own
 * process; each call runs in a child whose output is kept.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/moves/status.h"
#include "tests/unit/suite.h"
#include "tools/front.h"
#include "tools/incomplete.h"
#include "tools/options.h"
#include "transport/version.h"

/* How the played move goes; set before the fork. */
static enum xf_outcome outcome;
static bool wait_for_signal, nameless, foretold;
static enum { SURVIVES, KILLED, TERMINATED } fate; /* before the switch */
static int hold[2];                                /* the move is held in PULL while it is empty */

/* What the process of a --no-wait move saw of itself in PULL. */
static struct background_view {
    bool there, own_session, no_output;
} * view;

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

static void play_pull(const struct xf_watch *w, struct xf_report *report)
{
    const struct xf_progress p = {.phase = XF_PHASE_PULL, .predicted_down_s = -1, .eta_s = -1};
    char path[64] = "", c;

    report->left_out = 25600;
    report->downtime_s = 0.084;
    w->progress(w->priv, &p);
    w->note(w->priv, "a note in PULL");
    w->progress(w->priv, &p);
    view->own_session = getsid(0) == getpid();
    view->no_output =
        readlink("/proc/self/fd/1", path, sizeof(path) - 1) > 0 && !strcmp(path, "/dev/null");
    memset(path, 0, sizeof(path));
    view->no_output &=
        readlink("/proc/self/fd/2", path, sizeof(path) - 1) > 0 && !strcmp(path, "/dev/null");
    view->there = true;
    while (read(hold[0], &c, 1) < 0 && errno == EINTR)
        ;
}

enum xf_outcome xf_move(const struct xf_move_opts *o, const struct xf_watch *w,
                        struct xf_report *report, struct xf_err *err)
{
    struct xf_finding warning = {
        .severity = XF_WARNING, .code = "cpu-policy", .text = "the destination lacks avx2"};
    struct xf_finding refusal = {
        .severity = XF_REFUSAL, .code = "memory", .text = "too little of it there"};
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
    if (foretold)
        report->forecast = (struct xf_outlook){.taken = true,
                                               .total_s = 7,
                                               .downtime_s = 0.25,
                                               .bytes = 1 << 30,
                                               .mode = "hybrid",
                                               .why = "of the weather",
                                               .memory_free_kib = UINT64_MAX};
    if (o->config_file)
        dprintf(STDERR_FILENO, "%s is read by %s\n", o->config_file, o->real_xl);
    if (fate == KILLED)
        raise(SIGKILL);
    if (fate == TERMINATED) { /* whoever waits for us is told to stop */
        kill(getppid(), SIGTERM);
        for (unsigned i = 0; i < 2000 && !*o->cancel; i++)
            nap();
        report->outcome = *o->cancel ? XF_STAYED : XF_MOVED;
    }
    if (o->mode == XF_MODE_POSTCOPY && (outcome == XF_MOVED || outcome == XF_PULLING) &&
        fate == SURVIVES && !wait_for_signal)
        play_pull(w, report);
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
        if (!strcmp(w.argv[f.cmd], "migrate-status"))
            status = cmd_migrate_status(&f);
        else if (!strcmp(w.argv[f.cmd], "migrate-postcopy"))
            status = cmd_migrate_postcopy(&f);
        else
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
    fate = SURVIVES;
}

/* The first line of a move. */
static void says_version_first(void)
{
    static const char first[] = "xl migrate: Xenferry ";
    size_t len = sizeof(first) - 1, n = strlen(xf_version());

    CU_ASSERT_EQUAL(strncmp(errs, first, len), 0);
    CU_ASSERT_EQUAL(strncmp(errs + len, xf_version(), n), 0);
    CU_ASSERT_EQUAL(errs[len + n], '\n');
}

static void test_moved(void)
{
    begin(XF_MOVED);
    CU_ASSERT_EQUAL(run("migrate --tcp g1 host2"), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "g1 moved to host2"));
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "xl migrate: warning: the destination lacks avx2\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "xl migrate: a note\n"));
    says_version_first();
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

/* No move is begun, whatever else is on the line; the file VERSION has the number. */
static void test_version(void)
{
    char number[40] = "", wanted[80];
    FILE *f = fopen("VERSION", "r");

    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fscanf(f, "%31s", number), 1);
    fclose(f);
    snprintf(wanted, sizeof(wanted), "Xenferry %s for Xen %s\n", number, xf_xen_release());
    begin(XF_STAYED);
    CU_ASSERT_EQUAL(run("migrate --version"), 0);
    CU_ASSERT_STRING_EQUAL(out, wanted);
    CU_ASSERT_STRING_EQUAL(errs, "");
    CU_ASSERT_EQUAL(run("migrate --version --channels x g1"), 0);
    CU_ASSERT_STRING_EQUAL(out, wanted);
}

static void test_check(void)
{
    begin(XF_MOVED);
    CU_ASSERT_EQUAL(run("migrate --check g1 host2"), 0);
    CU_ASSERT_STRING_EQUAL(out, "Nothing prevents moving g1 to host2.\n");
    foretold = true;
    CU_ASSERT_EQUAL(run("migrate --check g1 host2"), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "Nothing prevents moving g1 to host2.\n"
                                       "  forecast  7.0 s, downtime 250 ms, 1.0 GiB on the wire\n"
                                       "  mode      hybrid: of the weather\n"));
    CU_ASSERT_EQUAL(run("migrate --check --json g1 host2"), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "\"forecast\":{\"total_s\":7.0"));
    CU_ASSERT_EQUAL(run("migrate --check --quiet g1 host2"), 0);
    CU_ASSERT_STRING_EQUAL(out, "");
    foretold = false;
    begin(XF_MOVED);
    CU_ASSERT_EQUAL(run("migrate --check g1 host2"), 0);
    says_version_first();
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
        {XF_UNPLUGGED, "unplugged", "`xl pci-attach g1 DEVICE`"},
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

/* The end of the move that was left to itself. */
static struct xf_ended the_end(void)
{
    struct xf_status_list all;
    struct xf_ended e = {.when = -1};

    for (unsigned i = 0; i < 2000 && e.when < 0; i++) {
        CU_ASSERT_EQUAL(xf_statuses(&all, NULL), 0);
        if (all.nr_ended)
            e = all.ended[0];
        else
            nap();
        xf_statuses_free(&all);
    }
    return e;
}

static void forget_ends(void)
{
    char command[200];

    snprintf(command, sizeof(command), "rm -f '%s'/ended-*", xf_run_dir());
    CU_ASSERT_EQUAL(system(command), 0);
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
    /* One of them said that nobody sees that: so it is left for who asks later. */
    CU_ASSERT_EQUAL(the_end().outcome, XF_STAYED);
    forget_ends();
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
    CU_ASSERT_EQUAL(strncmp(out, "g1 runs here again.\n", 20), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "on_reboot")); /* it has no monitor any more */
    CU_ASSERT_EQUAL(run("migrate-recover --resume g2"), 1);
    CU_ASSERT_STRING_EQUAL(errs, "xl migrate-recover: there is no domain g2 here\n");
    CU_ASSERT_EQUAL(run("migrate-recover --resume away"), 1);
    CU_ASSERT_STRING_EQUAL(errs, "xl migrate-recover: it runs at host2\n");
    CU_ASSERT_EQUAL(run("migrate-recover --resume --force away"), 0);
    CU_ASSERT_EQUAL(run("migrate-recover"), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "migrate-recover takes a domain"));
    CU_ASSERT_EQUAL(run("migrate-recover --json"), 1);
    CU_ASSERT_EQUAL(objects("error"), 1);
    CU_ASSERT_EQUAL(run("migrate-recover --resume"), 1);
    CU_ASSERT_EQUAL(run("migrate-recover --resume g1 g2"), 1);
    CU_ASSERT_EQUAL(run("migrate-recover --nonsense g1"), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "no option '--nonsense'"));
    CU_ASSERT_EQUAL(run("migrate-recover --help"), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "--resume"));
}

/* --- --no-wait --- */

static void test_no_wait(void)
{
    static const struct {
        enum xf_outcome outcome;
        const char *says;
    } cases[] = {{XF_MOVED, "g1 runs at host2."}, {XF_PULLING, "the connection broke. g1 runs"}};
    struct xf_ended e;

    for (size_t i = 0; i < 2; i++) {
        begin(cases[i].outcome);
        memset(view, 0, sizeof(*view));
        CU_ASSERT_EQUAL(run("migrate --postcopy --no-wait g1 host2"), 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(out, "g1 runs at host2 after 84 ms of downtime. 100 MiB"));
        CU_ASSERT_PTR_NOT_NULL(strstr(out, "`xl migrate-status"));
        CU_ASSERT_PTR_NOT_NULL(strstr(errs, "xl migrate: a note\n")); /* from before the switch */
        CU_ASSERT_PTR_NULL(strstr(errs, "in PULL"));
        for (unsigned k = 0; k < 2000 && !view->there; k++)
            nap();
        CU_ASSERT(view->there && view->own_session && view->no_output);
        CU_ASSERT_EQUAL(write(hold[1], "x", 1), 1);
        e = the_end();
        CU_ASSERT_EQUAL(e.outcome, cases[i].outcome);
        CU_ASSERT_STRING_EQUAL(e.domain, "g1");
        CU_ASSERT_EQUAL(run("migrate-status g1"), 0);
        for (char *p = out; (p = strstr(p, "\n  ")) != NULL;)
            memmove(p, p + 2, strlen(p + 2) + 1), *p = ' '; /* lines were wrapped */
        CU_ASSERT_PTR_NOT_NULL(strstr(out, "g1 to host2: ended"));
        CU_ASSERT_PTR_NOT_NULL(strstr(out, cases[i].says));
        CU_ASSERT_EQUAL(run("migrate-status --json"), 0);
        CU_ASSERT_EQUAL(objects("ended"), 1);
        forget_ends();
    }

    begin(XF_MOVED);
    CU_ASSERT_EQUAL(run("migrate --postcopy --no-wait --json --quiet g1 host2"), 0);
    CU_ASSERT_EQUAL(objects("background"), 1);
    CU_ASSERT_EQUAL(strcspn(out, "\n") + 1, strlen(out));
    CU_ASSERT_EQUAL(write(hold[1], "x", 1), 1);
    the_end();
    forget_ends();
}

/* What ends before it could be left to itself ends as ever. */
static void test_no_wait_for_little(void)
{
    begin(XF_MOVED);
    CU_ASSERT_EQUAL(run("migrate --precopy --no-wait g1 host2"), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "g1 moved to host2"));
    begin(XF_STAYED);
    CU_ASSERT_EQUAL(run("migrate --postcopy --no-wait g1 host2"), XF_STAYED);
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "xl migrate: the connection broke\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "g1 never stopped"));
    begin(XF_MOVED);
    fate = KILLED;
    CU_ASSERT_EQUAL(run("migrate --postcopy --no-wait g1 host2"), -1);
    fate = TERMINATED;
    CU_ASSERT_EQUAL(run("migrate --postcopy --no-wait g1 host2"), XF_STAYED);
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "cancelling..."));
    begin(XF_MOVED);
    CU_ASSERT_EQUAL(run("migrate-status"), 0);
    CU_ASSERT_STRING_EQUAL(out, "No move is under way from or to this host.\n");
}

/* --- moves of others --- */

static struct xf_status_server *play(bool source, uint32_t domid, const char *name,
                                     enum xf_phase phase, const char *no_switch)
{
    struct xf_status s = {.source = source,
                          .pid = getpid(),
                          .domid = domid,
                          .host = "host2",
                          .phase = phase,
                          .round = 2,
                          .round_pages = 5000,
                          .round_done = 400,
                          .pages_sent = source ? 31000 : XF_NO_COUNT,
                          .rate_bps = 34e6,
                          .eta_s = 12,
                          .elapsed_s = 21};
    struct xf_status_server *server = NULL;

    if (phase == XF_PHASE_PULL) {
        s.left_out = 51200;
        s.missing = 25600;
        s.faults = 70;
        s.requested = 30;
        s.fault_median_s = 0.0004;
        s.fault_p99_s = 0.002;
    }
    snprintf(s.domain, sizeof(s.domain), "%s", name);
    snprintf(s.no_switch, sizeof(s.no_switch), "%s", no_switch);
    CU_ASSERT_EQUAL_FATAL(xf_status_open(&server, domid, &s, NULL), 0);
    return server;
}

static bool says_version(const char *before, const char *behind)
{
    char text[80];

    snprintf(text, sizeof(text), "%s%s%s", before, xf_version(), behind);
    return strstr(out, text) != NULL;
}

static void test_status(void)
{
    struct xf_status_server *a = play(true, 5, "web1", XF_PHASE_COPY, ""),
                            *b = play(false, 6, "web2", XF_PHASE_PULL, "no");

    CU_ASSERT_EQUAL(run("migrate-status"), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "web1 (domain 5) to host2: COPY, 2"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "round 2: 400 of 5000; 31000 sent\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "web2 (domain 6) from host2: PULL"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "25600 missing (100 MiB) of 51200 after the switch\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "70 served, 30 of them over the network"));
    CU_ASSERT(says_version("  Xenferry  ", "\n"));
    CU_ASSERT_STRING_EQUAL(errs, "");
    CU_ASSERT_EQUAL(run("migrate-status 6"), 0);
    CU_ASSERT_PTR_NULL(strstr(out, "web1"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "web2"));
    CU_ASSERT_EQUAL(run("migrate-status --json web2"), 0);
    CU_ASSERT_EQUAL(objects("status"), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "\"role\":\"destination\""));
    CU_ASSERT(says_version("\"xenferry\":\"", "\"}"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "\"missing\":25600,"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "\"pages_sent\":null,"));
    CU_ASSERT_EQUAL(run("migrate-status web3"), 1);
    CU_ASSERT_STRING_EQUAL(out, "");
    CU_ASSERT_STRING_EQUAL(errs, "xl migrate-status: no move of a domain \"web3\" is under way "
                                 "from or to this host\n");
    CU_ASSERT_EQUAL(run("migrate-status web1 web2"), 1);
    CU_ASSERT_EQUAL(run("migrate-status --nonsense"), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "no option '--nonsense'"));
    CU_ASSERT_EQUAL(run("migrate-status --help"), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "--json"));
    xf_status_close(a);
    xf_status_close(b);
    CU_ASSERT_EQUAL(run("migrate-status"), 0);
    CU_ASSERT_STRING_EQUAL(out, "No move is under way from or to this host.\n");
    CU_ASSERT_EQUAL(run("migrate-status --json"), 0);
    CU_ASSERT_STRING_EQUAL(out, "");
    CU_ASSERT_EQUAL(run("migrate-status web1"), 1);
}

static void test_postcopy(void)
{
    struct xf_status_server *a = play(true, 5, "web1", XF_PHASE_COPY, ""),
                            *b = play(true, 6, "web2", XF_PHASE_COPY, "all of it goes before");

    CU_ASSERT_EQUAL(run("migrate-postcopy web2"), 1);
    CU_ASSERT_STRING_EQUAL(errs, "xl migrate-postcopy: all of it goes before\n");
    CU_ASSERT_FALSE(xf_status_asked(b));
    CU_ASSERT_FALSE(xf_status_asked(a));
    CU_ASSERT_EQUAL(run("migrate-postcopy web1"), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "web1 switches to post-copy"));
    CU_ASSERT(xf_status_asked(a));
    CU_ASSERT_EQUAL(run("migrate-postcopy web3"), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "no move of a domain \"web3\""));
    CU_ASSERT_EQUAL(run("migrate-postcopy"), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "say which domain"));
    CU_ASSERT_EQUAL(run("migrate-postcopy --json web1"), 1);
    CU_ASSERT_EQUAL(run("migrate-postcopy --help"), 0);
    xf_status_close(a);
    xf_status_close(b);
}

/* Which word of a call that a guest on the move is not for is the domain. */
static void test_incomplete(void)
{
    static const struct {
        const char *words, *victim; /* NULL: none */
    } cases[] = {
        {"save web1 /file", "web1"},
        {"save -c -p web1 /file", "web1"},
        {"save -cp web1", "web1"},
        {"save", NULL},
        {"dump-core web1 /core", "web1"},
        {"remus -i 200 -s ssh -e web1 host", "web1"},
        {"remus -bu web1 host", "web1"},
        {"suspend web1", "web1"},
        {"fork-vm -p --max-vcpus 2 web1", "web1"},
        {"fork-vm", NULL},
        {"network-attach web1 bridge=xenbr0", "web1"},
        {"list web1", NULL},
        {"saved web1", NULL},
        {"save -z web1 /file", "web1"},
        {"save -- web1 /file", "web1"},
        {"unpause web1", "web1"},
        {"resume web1", "web1"},
        {"unpause", NULL},
        {"pause web1", NULL},
        {"destroy web1", NULL},
        {"restore /file", NULL},
    };
    struct xf_status_server *b = play(false, 6, "web2", XF_PHASE_PULL, "no");
    struct xf_err err = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct words w;
        struct front f;
        const char *victim;
        unsigned does;

        split_words(&w, "xl", cases[i].words);
        CU_ASSERT_EQUAL(front_parse(w.argc, w.argv, &f), 0);
        victim = incomplete_victim(&f, &does);
        if (!cases[i].victim) {
            CU_ASSERT_PTR_NULL(victim);
        } else {
            CU_ASSERT_PTR_NOT_NULL_FATAL(victim);
            CU_ASSERT_STRING_EQUAL(victim, cases[i].victim);
        }
    }
    CU_ASSERT_EQUAL(incomplete_refuse(NULL, INCOMPLETE_READS, &err), 0);
    CU_ASSERT_EQUAL(incomplete_refuse("web1", INCOMPLETE_READS, &err), 0);
    CU_ASSERT_EQUAL(incomplete_refuse("web2", INCOMPLETE_READS, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "100 MiB of the memory of \"web2\" is not on this"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "still at host2"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "migrate-status"));

    begin(XF_MOVED);
    CU_ASSERT_EQUAL(run("migrate --tcp web2 host3"), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "is not on this host yet"));
    CU_ASSERT_EQUAL(run("migrate web2 host3"), 1); /* the real xl's, too */
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, "is not on this host yet"));
    CU_ASSERT_EQUAL(run("migrate --tcp web1 host3"), 0);
    CU_ASSERT_EQUAL(run("migrate --help"), 0);
    xf_status_close(b);
}

int main(void)
{
    char dir[] = "/tmp/xf-migrate-XXXXXX";
    int rc;

    CU_TestInfo tests[] = {
        {"moved", test_moved},
        {"check", test_check},
        {"failures", test_failures},
        {"signals", test_signals},
        {"usage", test_usage},
        {"-C", test_config_file},
        {"migrate-recover", test_recover},
        {"migrate-recover --resume", test_resume},
        {"--no-wait", test_no_wait},
        {"--no-wait, and nothing to wait for", test_no_wait_for_little},
        {"version", test_version},
        {"migrate-status", test_status},
        {"migrate-postcopy", test_postcopy},
        {"memory that is elsewhere", test_incomplete},
        CU_TEST_INFO_NULL,
    };

    setenv(XF_CONFIG_ENV, "/nonexistent/xenferry.xml", 1);
    view = mmap(NULL, sizeof(*view), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (view == MAP_FAILED || pipe(hold) || !mkdtemp(dir) || setenv(XF_RUN_DIR_ENV, dir, 1))
        return 2;
    rc = run_suite("migrate", tests);
    rmdir(dir);
    return rc;
}
