/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `xl migrate-recover`: run by a person or by cluster software after an unfinished move.
 * xf_recover(), xf_resume_here() and xf_resume_as_of_switch() do the work.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libxl-ext/libxl_ext.h"
#include "tools/format.h"
#include "tools/front.h"
#include "tools/json.h"
#include "tools/options.h"
#include "tools/report.h"
#include "tools/show.h"
#include "transport/text.h"

static int finish_move(const struct recover_args *args, const struct xl_globals *g)
{
    struct show show;
    const struct xf_watch watch = show_watch(&show);
    struct xf_recover_opts o = {.domain = args->domain, .host = args->host};
    struct xf_report report = {.outcome = XF_REFUSED, .downtime_s = -1};
    struct xf_err err = {0};

    show_init(&show, "migrate-recover", args->json, args->quiet, g->cr || isatty(STDERR_FILENO));
    show.domain = args->domain;
    show.report = &report;
    o.cancel = show_catch_signals();
    report.outcome = xf_recover(&o, &watch, &report, &err);
    if (show_end(&show, &report, &err)) {
        report_recovered(stdout, &report);
        fflush(stdout);
    }
    return (int)report.outcome;
}

static void say(const char *text)
{
    print_wrapped(stdout, text, 80, 0, 0);
}

static void say_monitor(const char *name)
{
    char text[800];

    report_monitor(text, sizeof(text), name);
    say(text);
}

static int resume(const struct recover_args *args, struct xf_err *err)
{
    char name[160];

    if (xf_resume_here(args->domain, args->force, err))
        return -1;
    xf_text_copy(name, sizeof(name), args->domain, strlen(args->domain));
    printf("%s runs here again.\n", name);
    say_monitor(name);
    return 0;
}

static int go_back(const struct recover_args *args, struct xf_err *err)
{
    struct xf_report report;
    char text[400 + XF_DISK_PATH];

    if (xf_resume_as_of_switch(args->domain, args->force, &report, err))
        return -1;
    snprintf(text, sizeof(text),
             "%s runs here again, with its disks and its memory as of the switch.", report.domain);
    say(text);
    for (unsigned i = 0; i < report.nr_disks; i++) {
        snprintf(text, sizeof(text),
                 "What it has written to %s at %s since is only there, in %s. Nobody removes that.",
                 report.disks[i].vdev, report.host, report.disks[i].target);
        say(text);
    }
    say_monitor(report.domain);
    return 0;
}

int cmd_migrate_recover(const struct front *f)
{
    struct recover_args args;
    struct xf_err err = {0};

    if (!recover_parse(f->argc - f->cmd, f->argv + f->cmd, &args, &err)) {
        if (args.help) {
            recover_help(stdout);
            return 0;
        }
        if (!args.resume && !args.as_of_switch)
            return finish_move(&args, &f->globals);
        if (!(args.resume ? resume : go_back)(&args, &err))
            return 0;
    }
    if (args.json && !args.quiet)
        json_error(stdout, &err);
    front_error("migrate-recover", &err);
    return XF_REFUSED;
}
