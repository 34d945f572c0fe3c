/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `xl migrate-status` and `xl migrate-postcopy`: an operator's queries to a move in another
 * process. The first works on either host, the second only at the source.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/moves/status.h"
#include "tools/disk_rows.h"
#include "tools/format.h"
#include "tools/front.h"
#include "tools/json.h"
#include "tools/metrics.h"
#include "tools/new_file.h"
#include "tools/report.h"
#include "tools/watch.h"

#define COLUMNS 80
#define INDENT 12
/* A move without an update for this long, in seconds, is busy with something lengthy. */
#define QUIET_S 5.0

static const char status_help[] =
    "Usage: xl migrate-status [--json] [--watch] [DOMAIN]\n"
    "       xl migrate-status --metrics [FILE]\n\n"
    "Show the moves under way from and to this host, or that of DOMAIN, and how moves\n"
    "begun with --no-wait ended during the last day. A migrate-recover shows as a move\n"
    "in PULL.\n\n"
    "  -h, --help  Print this help.\n"
    "  --json      One JSON object per line.\n"
    "  --watch     Again and again: on a terminal in a table, until q or Ctrl-C.\n"
    "  --metrics   OpenMetrics text, to FILE or standard output. FILE appears complete,\n"
    "              for a node exporter's textfile directory (a name in .prom).\n\n"
    "Exit status: 0, also when there is nothing to show; 1 when DOMAIN has no move,\n"
    "and for errors.\n";

static const char postcopy_help[] =
    "Usage: xl migrate-postcopy DOMAIN\n\n"
    "At the source, while a hybrid move (the default) is in COPY: let DOMAIN run at the\n"
    "destination at once; the rest of its memory follows.\n\n"
    "  -h, --help  Print this help.\n\n"
    "Exit status: 0 when the move will do so; 1 when it cannot, with the reason.\n";

/* --- words and options --- */

struct words {
    bool help, json, watch, metrics;
    const char *domain; /* NULL: none; of --metrics a file */
};

/* status: migrate-status, which has more options than migrate-postcopy. */
static int parse(const struct front *f, bool status, struct words *out, struct xf_err *err)
{
    const struct option longs[] = {{"help", no_argument, NULL, 'h'},
                                   {status ? "json" : NULL, no_argument, NULL, 'j'},
                                   {status ? "watch" : NULL, no_argument, NULL, 'w'},
                                   {status ? "metrics" : NULL, no_argument, NULL, 'm'},
                                   {NULL, 0, NULL, 0}};
    const char *cmd = f->argv[f->cmd];
    int argc = f->argc - f->cmd, opt;
    char **argv = f->argv + f->cmd;

    *out = (struct words){0};
    opterr = 0;
    optind = 0;
    while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (opt == 'h')
            out->help = true;
        else if (opt == 'j')
            out->json = true;
        else if (opt == 'w')
            out->watch = true;
        else if (opt == 'm')
            out->metrics = true;
        else
            return xf_fail(err, EINVAL, "there is no option '%.60s' (xl %s --help)",
                           argv[optind - 1], cmd);
    }
    if (out->metrics && (out->json || out->watch))
        return xf_fail(err, EINVAL,
                       "--metrics and --%s contradict each other: leave one out (xl %s --help)",
                       out->json ? "json" : "watch", cmd);
    if (argc - optind > 1)
        return xf_fail(err, EINVAL, "name one %s only (xl %s --help)",
                       out->metrics ? "file" : "domain", cmd);
    if (optind < argc && !argv[optind][0])
        return xf_fail(err, EINVAL, "the %s is empty: name it (xl %s --help)",
                       out->metrics ? "file" : "domain", cmd);
    out->domain = optind < argc ? argv[optind] : NULL;
    return 0;
}

/* --- migrate-status --- */

static void row(const char *name, const char *text)
{
    printf("  %-9s ", name);
    print_wrapped(stdout, text, COLUMNS, INDENT, INDENT);
}

static void show_pages(const struct xf_status *s)
{
    char text[300], a[FMT_LEN];
    size_t n = 0;

    if (s->phase == XF_PHASE_COPY && s->source)
        n += (size_t)snprintf(text, sizeof(text), "round %u: %" PRIu64 " of %" PRIu64 "; ",
                              s->round, s->round_done, s->round_pages);
    if (s->phase >= XF_PHASE_PULL && s->left_out && s->missing != XF_NO_COUNT)
        n += (size_t)snprintf(text + n, sizeof(text) - n,
                              "%" PRIu64 " missing (%s) of %" PRIu64 " after the switch; ",
                              s->missing, fmt_bytes(a, (double)s->missing * 4096), s->left_out);
    if (s->pages_sent != XF_NO_COUNT)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%" PRIu64 " sent; ", s->pages_sent);
    if (!n)
        return;
    text[n - 2] = 0;
    row("pages", text);
}

static void show_faults(const struct xf_status *s)
{
    char text[200], a[FMT_LEN], b[FMT_LEN];

    if (s->phase < XF_PHASE_PULL || !s->left_out || s->faults == XF_NO_COUNT)
        return;
    snprintf(text, sizeof(text), "%" PRIu64 " served, %" PRIu64 " of them over the network",
             s->faults, s->requested);
    if (s->faults)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "; median %s, 99%% within %s",
                 fmt_duration(a, s->fault_median_s), fmt_duration(b, s->fault_p99_s));
    row("faults", text);
}

static void show_disks(const struct xf_status *s)
{
    char text[200];

    if (!s->disks.nr || s->phase > XF_PHASE_SWITCH)
        return;
    disks_progress_row(text, sizeof(text), &s->disks);
    row("disks", text);
}

static void show_speed(const struct xf_status *s)
{
    char text[200] = "", a[FMT_LEN];

    if (s->rate_bps > 0)
        snprintf(text, sizeof(text), "%s/s", fmt_bytes(a, s->rate_bps));
    if (s->dirty_pps > 0)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%sthe guest writes %s/s",
                 text[0] ? ", " : "", fmt_bytes(a, s->dirty_pps * 4096));
    if (s->eta_s >= 0)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s %s", text[0] ? ", " : "",
                 s->phase == XF_PHASE_COPY    ? "this round ends in"
                 : s->phase == XF_PHASE_DISKS ? "the disks are there in"
                                              : "all pages there in",
                 fmt_duration(a, s->eta_s));
    if (text[0])
        row("rate", text);
}

static void show(const struct xf_status *s)
{
    char text[700], number[40] = "", a[FMT_LEN];

    if (s->domid != XF_NO_DOMID)
        snprintf(number, sizeof(number), " (domain %u)", s->domid);
    snprintf(text, sizeof(text), "%s%s %s %s: %s, %s since it began.", s->domain, number,
             s->source ? "to" : "from", s->host[0] ? s->host : "another host",
             xf_phase_name(s->phase), fmt_duration(a, s->elapsed_s));
    print_wrapped(stdout, text, COLUMNS, 0, 2);
    if (s->version[0])
        row("Xenferry", s->version);
    if (s->waits_for[0])
        row("waits for", s->waits_for);
    show_disks(s);
    show_pages(s);
    show_faults(s);
    show_speed(s);
    if (s->age_s > QUIET_S && !s->waits_for[0]) {
        snprintf(text, sizeof(text),
                 "this was the state %s ago; process %d has had no time to update it since",
                 fmt_duration(a, s->age_s), (int)s->pid);
        row("note", text);
    }
}

static void show_end(const struct xf_ended *e)
{
    struct xf_report report = {.outcome = e->outcome};
    char text[REPORT_ADVICE + 1000], advice[REPORT_ADVICE], a[FMT_LEN];
    double ago = (double)(time(NULL) - e->when);

    memcpy(report.domain, e->domain, sizeof(report.domain));
    memcpy(report.host, e->host, sizeof(report.host));
    report_advice(advice, sizeof(advice), &report);
    snprintf(text, sizeof(text), "%s to %s: ended %s ago. %s%s%s", e->domain, e->host,
             fmt_duration(a, ago > 0 ? ago : 0), e->text, e->text[0] ? ". " : "", advice);
    print_wrapped(stdout, text, COLUMNS, 0, 2);
}

static unsigned show_all(const struct xf_status_list *all, const struct words *w)
{
    unsigned shown = 0;

    for (unsigned i = 0; i < all->nr; i++) {
        const struct xf_status *s = &all->list[i];

        if (w->domain && !xf_status_is(s->domain, s->domid, w->domain))
            continue;
        shown++;
        if (w->json)
            json_status(stdout, s);
        else
            show(s);
    }
    for (unsigned i = 0; i < all->nr_ended; i++) {
        const struct xf_ended *e = &all->ended[i];

        if (w->domain && !xf_status_is(e->domain, XF_NO_DOMID, w->domain))
            continue;
        shown++;
        if (w->json)
            json_ended(stdout, e);
        else
            show_end(e);
    }
    return shown;
}

/* file: NULL: standard output. */
static int metrics(const char *file, struct xf_err *err)
{
    struct xf_status_list all = {0};
    char path[PATH_MAX], *text = NULL;
    size_t len = 0;
    FILE *out;
    int rc = 0;

    if (file && new_file_check(file, path, err))
        return -1;
    if (xf_statuses(&all, err)) {
        xf_statuses_free(&all);
        return -1;
    }
    out = open_memstream(&text, &len);
    if (out)
        metrics_write(out, &all);
    xf_statuses_free(&all);
    if (!out || fclose(out) || !text)
        rc = xf_fail(err, ENOMEM, "out of memory");
    else if (file)
        rc = new_file_write(path, text, len, err);
    else if (fwrite(text, 1, len, stdout) != len || fflush(stdout))
        rc = xf_fail(err, errno, "cannot write to standard output: %s", strerror(errno));
    free(text);
    return rc;
}

/* All of them, once. */
static void status(const struct words *w, struct xf_err *err)
{
    struct xf_status_list all = {0};
    unsigned shown;

    if (!xf_statuses(&all, err)) {
        shown = show_all(&all, w);
        if (!shown && w->domain)
            xf_fail(err, ESRCH, "no move of a domain \"%s\" is under way from or to this host%s",
                    w->domain, all.silent ? ", as far as the moves of this host answer" : "");
        else if (!shown && !all.silent && !w->json)
            printf("No move is under way from or to this host.\n");
        if (all.silent)
            fprintf(stderr,
                    "xl migrate-status: %u process%s of a move did not answer; see %s for which\n",
                    all.silent, all.silent == 1 ? "" : "es", xf_run_dir());
    }
    xf_statuses_free(&all);
}

int cmd_migrate_status(const struct front *f)
{
    struct xf_err err = {0};
    struct words w;

    if (!parse(f, true, &w, &err) && w.help) {
        fputs(status_help, stdout);
        return 0;
    }
    if (!err.num && w.metrics)
        metrics(w.domain, &err);
    else if (!err.num && w.watch)
        watch_moves(w.domain, w.json, &err);
    else if (!err.num)
        status(&w, &err);
    if (!err.num)
        return 0;
    front_error("migrate-status", &err);
    return 1;
}

/* --- migrate-postcopy --- */

int cmd_migrate_postcopy(const struct front *f)
{
    struct xf_err err = {0};
    struct words w;

    if (!parse(f, false, &w, &err) && w.help) {
        fputs(postcopy_help, stdout);
        return 0;
    }
    if (!err.num && !w.domain)
        xf_fail(&err, EINVAL,
                "say which domain: xl migrate-postcopy DOMAIN "
                "(xl migrate-postcopy --help)");
    if (!err.num && !xf_ask_postcopy(w.domain, &err)) {
        /* It is the name of a move, and those are clean. */
        printf("%s switches to post-copy; `xl migrate-status %s` shows how far it is.\n", w.domain,
               w.domain);
        return 0;
    }
    front_error("migrate-postcopy", &err);
    return 1;
}
