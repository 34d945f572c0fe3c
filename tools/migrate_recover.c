/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `xl migrate-recover`: run by a person or by cluster software after an unfinished move.
 * xf_recover() and xf_resume_here() do the work.
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

int cmd_migrate_recover(const struct front *f)
{
    struct recover_args args;
    struct xf_err err = {0};
    char monitor[800], name[160];

    if (!recover_parse(f->argc - f->cmd, f->argv + f->cmd, &args, &err)) {
        if (args.help) {
            recover_help(stdout);
            return 0;
        }
        if (!args.resume)
            return finish_move(&args, &f->globals);
        if (!xf_resume_here(args.domain, args.force, &err)) {
            xf_text_copy(name, sizeof(name), args.domain, strlen(args.domain));
            printf("%s runs here again.\n", name);
            report_monitor(monitor, sizeof(monitor), name);
            print_wrapped(stdout, monitor, 80, 0, 0);
            return 0;
        }
    }
    if (args.json && !args.quiet)
        json_error(stdout, &err);
    front_error("migrate-recover", &err);
    return XF_REFUSED;
}
