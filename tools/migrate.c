/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `xl migrate`: hand a stock migration to the real xl, run ours, show it, and turn its
 * outcome into words and an exit status. The move itself is xf_move()'s.
 */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libxl-ext/config.h"
#include "libxl-ext/libxl_ext.h"
#include "libxl-ext/status.h"
#include "tools/background.h"
#include "tools/format.h"
#include "tools/front.h"
#include "tools/incomplete.h"
#include "tools/json.h"
#include "tools/options.h"
#include "tools/progress.h"
#include "tools/real_xl.h"
#include "tools/report.h"

#define COLUMNS 80

/* What the signal handler needs, which has no other way to reach it. */
static volatile sig_atomic_t cancelled;

static void on_signal(int sig)
{
    static const char text[] = "\nxl migrate: cancelling...\n";

    (void)sig;
    if (!cancelled && write(STDERR_FILENO, text, sizeof(text) - 1) < 0) {
        /* Nobody reads it; the flag is what counts. */
    }
    cancelled = cancelled < 2 ? cancelled + 1 : 2;
}

static void catch_signals(void)
{
    /* SA_RESTART: libraries below us do not all expect EINTR; poll() returns it anyway. */
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    sa.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &sa, NULL);
}

/* How one move is shown. */
struct show {
    const struct migrate_args *args;
    struct progress_view view;
    struct background *background; /* --no-wait; NULL: no */
    const struct xf_report *report;
};

static bool unseen(const struct show *s)
{
    return s->background && s->background->detached;
}

static void say(struct show *s, const char *prefix, const char *sentence)
{
    if (unseen(s)) {
        background_log(s->args->move.domain, sentence);
        return;
    }
    progress_clear(&s->view);
    fputs(prefix, stderr);
    print_wrapped(stderr, sentence, COLUMNS, (unsigned)strlen(prefix), 4);
    fflush(stderr);
}

static void on_finding(void *priv, const struct xf_finding *f)
{
    struct show *s = priv;

    if (s->args->json) {
        if (!s->args->quiet)
            json_finding(stdout, f);
    } else if (f->severity == XF_REFUSAL) {
        say(s, "xl migrate: refused: ", f->text);
    } else if (!s->args->quiet) {
        say(s, f->severity == XF_WARNING ? "xl migrate: warning: " : "xl migrate: ", f->text);
    }
}

/* --no-wait: the guest runs there, and what is left needs nobody to look at it. */
static void leave(struct show *s)
{
    const struct xf_report *r = s->report;
    char text[900], a[FMT_LEN], b[FMT_LEN];

    progress_clear(&s->view);
    if (s->args->json) {
        json_background(stdout, r, (int)getpid());
    } else if (!s->args->quiet) {
        snprintf(text, sizeof(text),
                 "%s runs at %s after %s of downtime. %s of its memory follow in the background; "
                 "`xl migrate-status %s` shows how far that is.",
                 r->domain, r->host, fmt_duration(a, r->downtime_s),
                 fmt_bytes(b, (double)r->left_out * 4096), r->domain);
        print_wrapped(stdout, text, COLUMNS, 0, 2);
    }
    fflush(stdout);
    fflush(stderr);
    background_detach(s->background, s->args->move.domain);
}

static void on_progress(void *priv, const struct xf_progress *p)
{
    struct show *s = priv;

    if (s->background && p->phase == XF_PHASE_PULL && !unseen(s))
        leave(s);
    if (s->args->quiet || unseen(s))
        return;
    if (s->args->json)
        json_progress(stdout, p);
    else
        progress_show(&s->view, p);
}

static void on_note(void *priv, const char *sentence)
{
    struct show *s = priv;

    if (s->args->quiet && !unseen(s))
        return;
    if (s->args->json && !unseen(s))
        json_note(stdout, sentence);
    else
        say(s, "xl migrate: ", sentence);
}

/* For who asks later: xl migrate-status. */
static void leave_end(const struct xf_report *r, const struct xf_err *err, const char *advice)
{
    struct xf_ended e = {.pid = getpid(), .outcome = r->outcome, .when = time(NULL)};
    struct xf_err why = {0};

    snprintf(e.domain, sizeof(e.domain), "%s", r->domain);
    snprintf(e.host, sizeof(e.host), "%s", r->host);
    if (r->outcome != XF_MOVED)
        snprintf(e.text, sizeof(e.text), "%s", err->text);
    background_log(r->domain, r->outcome == XF_MOVED ? "moved: all of its memory is there"
                                                     : err->text);
    if (r->outcome != XF_MOVED)
        background_log(r->domain, advice);
    if (xf_ended_write(&e, &why))
        background_log(r->domain, why.text);
}

static void show_end(struct show *s, const struct xf_report *r, const struct xf_err *err)
{
    const struct migrate_args *a = s->args;
    char advice[1600];

    progress_clear(&s->view);
    report_advice(advice, sizeof(advice), r);
    if (unseen(s)) {
        leave_end(r, err, advice);
        return;
    }
    if (a->json) {
        if (r->outcome != XF_MOVED && !a->quiet)
            json_error(stdout, err);
        json_report(stdout, r, err, advice);
    }
    if (r->outcome != XF_MOVED) {
        say(s, "xl migrate: ", err->text);
        say(s, "xl migrate: ", advice);
    } else if (!a->json && !a->quiet) {
        if (a->move.check_only)
            printf("Nothing stands against moving %s to %s.\n", r->domain, r->host);
        else
            report_print(stdout, r);
    }
    fflush(stdout);
}

/* One move, for background_run() as well. */
struct call {
    struct migrate_args *args;
    bool in_place; /* progress is rewritten in one line */
};

static int run_move(void *priv, struct background *background)
{
    const struct call *call = priv;
    struct migrate_args *args = call->args;
    struct xf_report report = {.outcome = XF_REFUSED, .downtime_s = -1};
    struct show show = {.args = args, .background = background, .report = &report};
    const struct xf_watch watch = {
        .priv = &show, .finding = on_finding, .progress = on_progress, .note = on_note};
    struct xf_err err = {0};

    progress_init(&show.view, stderr, call->in_place);
    catch_signals();
    args->move.cancel = &cancelled;
    report.outcome = xf_move(&args->move, &watch, &report, &err);
    /* A move refused early may not have come as far as to name them. */
    if (!report.domain[0])
        snprintf(report.domain, sizeof(report.domain), "%s", args->move.domain);
    if (!report.host[0])
        snprintf(report.host, sizeof(report.host), "%s", args->move.host);
    show_end(&show, &report, &err);
    return (int)report.outcome;
}

/* The words of this call without `leave_out`. */
static int become_stock(const struct front *f, const char *leave_out)
{
    char **words = calloc((size_t)f->argc + 1, sizeof(*words));
    int n = 0, rc;

    if (!words) {
        fprintf(stderr, "xl migrate: out of memory\n");
        return XF_REFUSED;
    }
    for (int i = 0; i < f->argc; i++)
        if (f->argv[i] != leave_out)
            words[n++] = f->argv[i];
    rc = real_xl_become(words);
    free(words);
    return rc;
}

int cmd_migrate(const struct front *f)
{
    struct migrate_args args;
    struct call call = {.args = &args};
    struct xf_config cfg;
    struct xf_err err = {0}, config_err = {0};
    char real_xl[PATH_MAX];
    int broken, rc;

    /* A broken configuration must not keep --stock and --help from working. */
    broken = xf_config_load(NULL, &cfg, &config_err);
    rc = migrate_parse(f->argc - f->cmd, f->argv + f->cmd, &f->globals, &cfg, isatty(STDERR_FILENO),
                       &args, &err);
    if (!rc && args.help) {
        migrate_help(stdout);
        return 0;
    }
    if (!rc && args.move.domain[0] && !f->globals.dry_run)
        rc = incomplete_refuse(args.move.domain, &err);
    if (!rc && args.stock && (!broken || args.stock_word))
        return become_stock(f, args.stock_word);
    if (!rc && broken)
        rc = xf_fail(&err, config_err.num, "%s", config_err.text);
    /* Only xl itself can read a file of xl's configuration. */
    if (!rc && args.move.config_file) {
        rc = real_xl_find(real_xl, &err);
        args.move.real_xl = real_xl;
    }
    call.in_place = f->globals.cr || isatty(STDERR_FILENO);
    if (!rc && !args.no_wait)
        return run_move(&call, NULL);
    if (!rc)
        rc = background_run(run_move, &call, &err);
    if (rc >= 0)
        return rc;
    if (args.json && !args.quiet)
        json_error(stdout, &err);
    front_error("migrate", &err);
    return XF_REFUSED;
}
