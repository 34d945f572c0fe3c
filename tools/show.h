/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Showing a move to the caller of `xl migrate` or `xl migrate-recover`: text on stderr, or JSON on
 * stdout; and handling the signals that may end it.
 */
#ifndef XF_SHOW_H
#define XF_SHOW_H

#include <signal.h>

#include "libxl-ext/libxl_ext.h"
#include "tools/background.h"
#include "tools/progress.h"

struct show {
    const char *cmd; /* "migrate": the prefix of its lines */
    bool json, quiet;
    struct progress_view view;
    /* These are set by the caller after show_init(). background: --no-wait: once PULL begins the
     * command returns, and messages go to the log. NULL: no. */
    struct background *background;
    const char *domain;               /* as the caller named it */
    const struct xf_report *report;   /* being filled */
    const struct xf_history *history; /* as well; NULL: none */
    enum xf_phase phase;              /* this and all below: private */
    struct background own; /* what `background` points to when the terminal has gone in PULL */
};

/* in_place: progress is rewritten in one line. */
void show_init(struct show *s, const char *cmd, bool json, bool quiet, bool in_place);

/* Print the first line of a move: the version of Xenferry. In JSON the report has it. */
void show_version(struct show *s);

/* The callbacks for xf_move() and related calls; s must outlive them. */
struct xf_watch show_watch(struct show *s);

/* Print the end: the error and what to do; in JSON the report. Returns true after a success, whose
 * text the caller prints. */
bool show_end(struct show *s, const struct xf_report *r, const struct xf_err *err);

/* A sentence that is no part of the move's course, on stderr or in the log. */
void show_warning(struct show *s, const char *sentence);

/*
 * Install signal handlers and return the counter for `cancel`. SIGINT increments it, but beyond 1
 * only if it comes from the terminal: a person's Ctrl-C. SIGTERM makes it at least 1. SIGHUP,
 * unless it was already ignored (nohup), makes it XF_HUNG_UP if it was 0; a move that is in PULL,
 * or reaches it, then continues in the background. SIGPIPE, SIGXFSZ and SIGTTOU are ignored: a
 * terminal that has gone, or belongs to another job, ends nothing. Once per process.
 */
volatile sig_atomic_t *show_catch_signals(void);
/* Before another program takes over this process: it inherits no ignored signal. */
void show_release_signals(void);

#endif
