/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Showing a move: see show.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libxl-ext/moves/status.h"
#include "tools/format.h"
#include "tools/json.h"
#include "tools/report.h"
#include "tools/show.h"
#include "transport/version.h"

#define COLUMNS 80

/* Globals, because the signal handler has no other way to reach them. */
static volatile sig_atomic_t cancelled, hung_up;

/* A shell and the kernel may both send SIGHUP when the terminal goes, and an impatient sender
 * repeats SIGTERM: repetitions do not count. */
static void on_signal(int sig, siginfo_t *info, void *context)
{
    static const char text[] = "\nxl: cancelling...\n";
    bool person = sig == SIGINT && info->si_code == SI_KERNEL;
    int before = errno;

    (void)context;
    if (sig == SIGHUP) {
        hung_up = 1;
        if (!cancelled)
            cancelled = XF_HUNG_UP;
    } else if (cancelled <= 0) {
        cancelled = 1;
        if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) {
            /* Nobody reads it; only the flag counts. */
        }
    } else if (person && cancelled < 100) {
        cancelled = cancelled + 1;
    }
    errno = before;
}

volatile sig_atomic_t *show_catch_signals(void)
{
    /* SA_RESTART: not all libraries below us expect EINTR; poll() returns it anyway. */
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_RESTART | SA_SIGINFO};

    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    if (!background_ignores(SIGHUP))
        sigaction(SIGHUP, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* the file size limit: an error like a full disk */
    return &cancelled;
}

void show_release_signals(void)
{
    signal(SIGPIPE, SIG_DFL);
    signal(SIGTTOU, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
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

void show_warning(struct show *s, const char *sentence)
{
    say(s, "warning: ", sentence);
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

/* --no-wait: the guest runs at the destination, and the rest needs no attention. */
static void say_leaving(const struct xf_report *r)
{
    char text[900], a[FMT_LEN], b[FMT_LEN];

    snprintf(text, sizeof(text),
             "%s runs at %s after %s of downtime. %s of its memory follow in the background; "
             "`xl migrate-status %s` shows how far that is.",
             r->domain, r->host, fmt_duration(a, r->downtime_s),
             fmt_bytes(b, (double)r->left_out * 4096), r->domain);
    print_wrapped(stdout, text, COLUMNS, 0, 2);
}

/* The terminal has gone in PULL: the guest needs us, and nobody watches; but output may still go to
 * a file. */
static void leave_alone(struct show *s)
{
    const struct xf_report *r = s->report;
    char text[900];

    snprintf(text, sizeof(text),
             "the terminal has gone: the rest of the memory of %s follows to %s in the background "
             "(process %d); `xl migrate-status %s` shows how far that is, and how it ended",
             r->domain, r->host, (int)getpid(), r->domain);
    if (!s->quiet)
        say(s, "", text);
    s->own = (struct background){.word = -1};
    s->background = &s->own;
    background_log(r->domain, text);
}

/* The first line of a move in the log. */
static void log_version(const struct xf_report *r)
{
    char text[340];

    snprintf(text, sizeof(text), "Xenferry %s: the rest of the memory follows to %s", xf_version(),
             r->host);
    background_log(r->domain, text);
}

static void leave(struct show *s)
{
    progress_clear(&s->view);
    if (s->json)
        json_background(stdout, s->report, (int)getpid());
    if (!s->background)
        leave_alone(s);
    else if (!s->json && !s->quiet)
        say_leaving(s->report);
    fflush(stdout);
    fflush(stderr);
    background_detach(s->background, s->domain);
    log_version(s->report);
}

static void leave_if_alone(struct show *s)
{
    if (s->phase == XF_PHASE_PULL && !unseen(s) && (s->background || hung_up))
        leave(s);
}

static void on_progress(void *priv, const struct xf_progress *p)
{
    struct show *s = priv;

    s->phase = p->phase;
    leave_if_alone(s);
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

    leave_if_alone(s);
    if (s->quiet && !unseen(s))
        return;
    if (s->json && !unseen(s))
        json_note(stdout, sentence);
    else
        say(s, "", sentence);
}

void show_init(struct show *s, const char *cmd, bool json, bool quiet, bool in_place)
{
    *s = (struct show){.cmd = cmd, .json = json, .quiet = quiet, .domain = ""};
    progress_init(&s->view, stderr, in_place);
}

void show_version(struct show *s)
{
    char text[48];

    if (s->json || s->quiet)
        return;
    snprintf(text, sizeof(text), "Xenferry %s", xf_version());
    say(s, "", text);
}

struct xf_watch show_watch(struct show *s)
{
    return (struct xf_watch){
        .priv = s, .finding = on_finding, .progress = on_progress, .note = on_note};
}

/* Leave the result for later queries by xl migrate-status. */
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
    char advice[REPORT_ADVICE];

    progress_clear(&s->view);
    report_advice(advice, sizeof(advice), r);
    if (unseen(s) || hung_up)
        leave_end(r, err, advice);
    if (unseen(s))
        return false;
    if (s->json) {
        if (r->outcome != XF_MOVED && !s->quiet)
            json_error(stdout, err);
        json_report(stdout, r, err, advice, s->history);
    }
    if (r->outcome != XF_MOVED) {
        say(s, "", err->text);
        say(s, "", advice);
    }
    fflush(stdout);
    return r->outcome == XF_MOVED && !s->json && !s->quiet;
}
