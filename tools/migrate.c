/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `xl migrate`: hand a stock migration to the real xl, run ours, show it, and turn its outcome into
 * words and an exit status. xf_move() does the move itself.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libxl-ext/host/config.h"
#include "libxl-ext/libxl_ext.h"
#include "tools/background.h"
#include "tools/front.h"
#include "tools/incomplete.h"
#include "tools/json.h"
#include "tools/new_file.h"
#include "tools/options.h"
#include "tools/outlook.h"
#include "tools/page.h"
#include "tools/real_xl.h"
#include "tools/report.h"
#include "tools/show.h"
#include "transport/text.h"
#include "transport/version.h"

/* One move, for background_run() as well. */
struct call {
    struct migrate_args *args;
    bool in_place;    /* progress is rewritten in one line */
    bool stock;       /* set by the move: stock xl is to make it */
    const char *page; /* --report; NULL: none */
    struct xf_history history;
};

/* Last of all, so that nothing waits for a file system that is slow or away. */
static void write_page(const struct call *call, struct show *show, const struct xf_report *r,
                       const struct xf_err *err)
{
    struct xf_err why = {0};
    char advice[REPORT_ADVICE];

    report_advice(advice, sizeof(advice), r);
    if (call->page && page_of_report(call->page, r, err, advice, &call->history, &why))
        show_warning(show, why.text);
}

static int run_move(void *priv, struct background *background)
{
    struct call *call = priv;
    struct migrate_args *args = call->args;
    struct xf_report report = {.outcome = XF_REFUSED, .downtime_s = -1};
    struct show show;
    char text[540];
    const struct xf_watch watch = show_watch(&show);
    struct xf_err err = {0};

    show_init(&show, "migrate", args->json, args->quiet, call->in_place);
    show.background = background;
    show.domain = args->move.domain;
    show.report = &report;
    show.history = &call->history;
    call->history.began = time(NULL);
    args->move.history = &call->history;
    args->move.cancel = show_catch_signals();
    show_version(&show);
    report.outcome = xf_move(&args->move, &watch, &report, &err);
    call->stock = report.stock_can && !*args->move.cancel;
    if (call->stock) {
        snprintf(text, sizeof(text), "%.480s; so the distribution's xl moves it", err.text);
        watch.note(watch.priv, text);
        return XF_REFUSED;
    }
    /* A move refused early may not have filled them in yet. */
    if (!report.domain[0])
        xf_text_copy(report.domain, sizeof(report.domain), args->move.domain,
                     strlen(args->move.domain));
    if (!report.host[0])
        xf_text_copy(report.host, sizeof(report.host), args->move.host, strlen(args->move.host));
    if (!show_end(&show, &report, &err))
        ; /* all is said */
    else if (args->move.check_only) {
        printf("Nothing prevents moving %s to %s.\n", report.domain, report.host);
        outlook_print(stdout, &report.forecast);
        report_disks(stdout, &report, true);
    } else {
        report_print(stdout, &report);
    }
    fflush(stdout);
    write_page(call, &show, &report, &err);
    return (int)report.outcome;
}

/* Run the real xl with this call's arguments, without `leave_out`. */
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

/* The move was ours only by the configuration, and stock xl may be able to make it. */
static int leave_to_stock(const struct front *f, const struct migrate_args *args)
{
    struct xf_err err = {0};

    if (incomplete_refuse(args->move.domain, INCOMPLETE_READS | INCOMPLETE_STOPS, &err)) {
        front_error("migrate", &err);
        return XF_REFUSED;
    }
    show_release_signals();
    return become_stock(f, NULL);
}

int cmd_migrate(const struct front *f)
{
    struct migrate_args args;
    struct call call = {.args = &args};
    struct xf_config cfg;
    struct xf_err err = {0}, config_err = {0};
    char real_xl[PATH_MAX], page[PATH_MAX];
    int broken, rc;

    /* A broken configuration must not keep --stock and --help from working. */
    broken = xf_config_load(NULL, &cfg, &config_err);
    rc = migrate_parse(f->argc - f->cmd, f->argv + f->cmd, &f->globals, &cfg, isatty(STDERR_FILENO),
                       &args, &err);
    if (!rc && args.help) {
        migrate_help(stdout);
        return 0;
    }
    if (!rc && args.version) {
        printf("Xenferry %s for Xen %s\n", xf_version(), xf_xen_release());
        return 0;
    }
    if (!rc && args.move.domain[0] && !f->globals.dry_run)
        /* For our own moves CHECK does the rest. */
        rc = incomplete_refuse(args.move.domain,
                               INCOMPLETE_READS | (args.stock ? INCOMPLETE_STOPS : 0), &err);
    if (!rc && args.stock && (!broken || args.stock_word))
        return become_stock(f, args.stock_word);
    if (!rc && broken)
        rc = xf_fail(&err, config_err.num, "%s", config_err.text);
    /* Only xl itself can read an xl configuration file. */
    if (!rc && args.move.config_file) {
        rc = real_xl_find(real_xl, &err);
        args.move.real_xl = real_xl;
    }
    if (!rc && args.report) {
        rc = new_file_check(args.report, page, &err);
        call.page = page;
    }
    call.in_place = f->globals.cr || isatty(STDERR_FILENO);
    if (!rc && !args.no_wait) {
        rc = run_move(&call, NULL);
        return call.stock ? leave_to_stock(f, &args) : rc;
    }
    if (!rc)
        rc = background_run(run_move, &call, &err);
    if (rc >= 0)
        return rc;
    if (args.json && !args.quiet)
        json_error(stdout, &err);
    front_error("migrate", &err);
    return XF_REFUSED;
}
