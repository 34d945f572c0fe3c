/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `xl migrate-wait` and `xl migrate-cancel`: the end of a move in another process of this host, its
 * source, waited for or brought about.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "libxl-ext/moves/status.h"
#include "tools/format.h"
#include "tools/front.h"
#include "tools/report.h"

#define COLUMNS 80

static const char wait_help[] =
    "Usage: xl migrate-wait DOMAIN\n\n"
    "At the source: wait until the move of DOMAIN that is under way has ended.\n\n"
    "  -h, --help  Print this help.\n\n"
    "Exit status: that of the move (see xl migrate --help); 1 also when there is none,\n"
    "5 also when its process has died.\n";

static const char cancel_help[] =
    "Usage: xl migrate-cancel DOMAIN\n\n"
    "At the source: cancel the move of DOMAIN, as Ctrl-C at its terminal does, and wait\n"
    "for that. Once DOMAIN runs at the destination the move goes on.\n\n"
    "  -h, --help  Print this help.\n\n"
    "Exit status: 0 when DOMAIN stays here; 1 when there is no move, or DOMAIN runs at\n"
    "the destination; 5, 6 and 8 as of xl migrate.\n";

/* The domain; NULL: help was asked for, or err is set. */
static const char *parse(const struct front *f, bool *help, struct xf_err *err)
{
    static const struct option longs[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    const char *cmd = f->argv[f->cmd];
    int argc = f->argc - f->cmd, opt;
    char **argv = f->argv + f->cmd;

    *help = false;
    opterr = 0;
    optind = 0;
    while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (opt != 'h') {
            xf_fail(err, EINVAL, "there is no option '%.60s' (xl %s --help)", argv[optind - 1],
                    cmd);
            return NULL;
        }
        *help = true;
    }
    if (*help)
        return NULL;
    if (argc - optind == 1 && argv[optind][0])
        return argv[optind];
    xf_fail(err, EINVAL, "name one domain: xl %s DOMAIN (xl %s --help)", cmd, cmd);
    return NULL;
}

/* A move that did not end well: why, and what to do. */
static void show_failure(const struct xf_ended *e)
{
    struct xf_report report = {.outcome = e->outcome};
    char text[REPORT_ADVICE + 1000], advice[REPORT_ADVICE];

    memcpy(report.domain, e->domain, sizeof(report.domain));
    memcpy(report.host, e->host, sizeof(report.host));
    report_advice(advice, sizeof(advice), &report);
    snprintf(text, sizeof(text), "%s to %s: %s%s%s", e->domain, e->host, e->text,
             e->text[0] ? ". " : "", advice);
    print_wrapped(stderr, text, COLUMNS, 0, 2);
}

int cmd_migrate_wait(const struct front *f)
{
    struct xf_err err = {0};
    struct xf_ended e;
    bool help;
    const char *domain = parse(f, &help, &err);

    if (help) {
        fputs(wait_help, stdout);
        return 0;
    }
    if (!domain || xf_await_end(domain, &e, &err)) {
        front_error("migrate-wait", &err);
        return err.num == ECONNRESET ? XF_UNKNOWN : XF_REFUSED;
    }
    if (e.outcome == XF_MOVED)
        printf("%s has moved to %s.\n", e.domain, e.host);
    else
        show_failure(&e);
    return (int)e.outcome;
}

int cmd_migrate_cancel(const struct front *f)
{
    struct xf_err err = {0};
    struct xf_ended e;
    bool help;
    const char *domain = parse(f, &help, &err);

    if (help) {
        fputs(cancel_help, stdout);
        return 0;
    }
    if (!domain || xf_ask_cancel(domain, &e, &err)) {
        front_error("migrate-cancel", &err);
        return err.num == ECONNRESET ? XF_UNKNOWN : XF_REFUSED;
    }
    switch (e.outcome) {
    case XF_REFUSED:
    case XF_STAYED:
    case XF_RESUMED:
        printf("The move of %s is cancelled; it runs here.\n", e.domain);
        return 0;
    case XF_MOVED:
    case XF_PULLING:
    case XF_UNPLUGGED:
        xf_fail(&err, EPERM, "it is too late: %s runs at %s", e.domain, e.host);
        front_error("migrate-cancel", &err);
        return XF_REFUSED;
    case XF_UNKNOWN:
    case XF_SUSPENDED:
    case XF_ENDED:
        break;
    }
    show_failure(&e);
    return (int)e.outcome;
}
