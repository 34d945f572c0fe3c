/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Showing a move: see show.h.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libxl-ext/status.h"
#include "tools/format.h"
#include "tools/json.h"
#include "tools/report.h"
#include "tools/show.h"

#define COLUMNS 80

/* What the signal handler needs, which has no other way to reach it. */
static volatile sig_atomic_t cancelled;

static void on_signal(int sig)
{
    static const char text[] = "\nxl: cancelling...\n";

    (void)sig;
    if (!cancelled && write(STDERR_FILENO, text, sizeof(text) - 1) < 0) {
        /* Nobody reads it; the flag is what counts. */
    }
    cancelled = cancelled < 2 ? cancelled + 1 : 2;
}

const volatile sig_atomic_t *show_catch_signals(void)
{
    /* SA_RESTART: libraries below us do not all expect EINTR; poll() returns it anyway. */
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    sa.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &sa, NULL);
    return &cancelled;
}

static bool unseen(const struct show *s)
{
    return s->background && s->background->detached;
}

/* "xl CMD: KIND" and a sentence, on a line of its own. */
static void say(struct show *s, const char *kind, const char *sentence)
{
    char prefix[80];

    if (unseen(s)) {
        background_log(s->domain, sentence);
        return;
    }
    snprintf(prefix, sizeof(prefix), "xl %s: %s", s->cmd, kind);
    progress_clear(&s->view);
    fputs(prefix, stderr);
    print_wrapped(stderr, sentence, COLUMNS, (unsigned)strlen(prefix), 4);
    fflush(stderr);
}

static void on_finding(void *priv, const struct xf_finding *f)
{
    struct show *s = priv;

    if (s->json) {
        if (!s->quiet)
            json_finding(stdout, f);
    } else if (f->severity == XF_REFUSAL) {
        say(s, "refused: ", f->text);
    } else if (!s->quiet) {
        say(s, f->severity == XF_WARNING ? "warning: " : "", f->text);
    }
}

/* --no-wait: the guest runs there, and what is left needs nobody to look at it. */
static void leave(struct show *s)
{
    const struct xf_report *r = s->report;
    char text[900], a[FMT_LEN], b[FMT_LEN];

    progress_clear(&s->view);
    if (s->json) {
        json_background(stdout, r, (int)getpid());
    } else if (!s->quiet) {
        snprintf(text, sizeof(text),
                 "%s runs at %s after %s of downtime. %s of its memory follow in the background; "
                 "`xl migrate-status %s` shows how far that is.",
                 r->domain, r->host, fmt_duration(a, r->downtime_s),
                 fmt_bytes(b, (double)r->left_out * 4096), r->domain);
        print_wrapped(stdout, text, COLUMNS, 0, 2);
    }
    fflush(stdout);
    fflush(stderr);
    background_detach(s->background, s->domain);
}

static void on_progress(void *priv, const struct xf_progress *p)
{
    struct show *s = priv;

    if (s->background && p->phase == XF_PHASE_PULL && !unseen(s))
        leave(s);
    if (s->quiet || unseen(s))
        return;
    if (s->json)
        json_progress(stdout, p);
    else
        progress_show(&s->view, p);
}

static void on_note(void *priv, const char *sentence)
{
    struct show *s = priv;

    if (s->quiet && !unseen(s))
        return;
    if (s->json && !unseen(s))
        json_note(stdout, sentence);
    else
        say(s, "", sentence);
}

void show_init(struct show *s, const char *cmd, bool json, bool quiet, bool in_place)
{
    *s = (struct show){.cmd = cmd, .json = json, .quiet = quiet};
    progress_init(&s->view, stderr, in_place);
}

struct xf_watch show_watch(struct show *s)
{
    return (struct xf_watch){
        .priv = s, .finding = on_finding, .progress = on_progress, .note = on_note};
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
    background_log(r->domain,
                   r->outcome == XF_MOVED ? "moved: all of its memory is there" : err->text);
    if (r->outcome != XF_MOVED)
        background_log(r->domain, advice);
    if (xf_ended_write(&e, &why))
        background_log(r->domain, why.text);
}

bool show_end(struct show *s, const struct xf_report *r, const struct xf_err *err)
{
    char advice[1600];

    progress_clear(&s->view);
    report_advice(advice, sizeof(advice), r);
    if (unseen(s)) {
        leave_end(r, err, advice);
        return false;
    }
    if (s->json) {
        if (r->outcome != XF_MOVED && !s->quiet)
            json_error(stdout, err);
        json_report(stdout, r, err, advice);
    }
    if (r->outcome != XF_MOVED) {
        say(s, "", err->text);
        say(s, "", advice);
    }
    fflush(stdout);
    return r->outcome == XF_MOVED && !s->json && !s->quiet;
}
