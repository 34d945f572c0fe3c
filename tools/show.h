/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Showing a move to whoever called `xl migrate` or `xl migrate-recover`: text on stderr, or
 * JSON on stdout; and the signals that end it, or leave it alone.
 */
#ifndef XF_SHOW_H
#define XF_SHOW_H

#include <signal.h>

#include "libxl-ext/libxl_ext.h"
#include "tools/background.h"
#include "tools/progress.h"

struct show {
    const char *cmd; /* "migrate": what its lines begin with */
    bool json, quiet;
    struct progress_view view;
    /* These are set by the caller after show_init(). background: --no-wait: once PULL begins the
     * call is left, and what is to be said goes to the log. NULL: no. */
    struct background *background;
    const char *domain;             /* as the caller named it */
    const struct xf_report *report; /* being filled */
    enum xf_phase phase;            /* ours, and all below */
    struct background own; /* what `background` points to when the terminal has gone in PULL */
};

/* in_place: progress is rewritten in one line. */
void show_init(struct show *s, const char *cmd, bool json, bool quiet, bool in_place);

/* The first line of a move: which Xenferry this is. In JSON that is said by the report. */
void show_version(struct show *s);

/* What xf_move() and its sisters call; s must outlive it. */
struct xf_watch show_watch(struct show *s);

/* The end, but for what is printed of a success (returns true then): the error and what to do,
 * in JSON the report. */
bool show_end(struct show *s, const struct xf_report *r, const struct xf_err *err);

/*
 * From now on what this returns (for `cancel`) is counted up by SIGINT; but beyond 1 only if it
 * comes from the terminal: by a person's Ctrl-C. SIGTERM makes it 1 at least. SIGHUP, unless it was
 * ignored before (nohup), makes it XF_HUNG_UP if it was 0; and a move that is in PULL, or comes
 * there, goes on in the background. SIGPIPE, SIGXFSZ and SIGTTOU are ignored: a terminal that has
 * gone, or is another job's, ends nothing. Once per process.
 */
const volatile sig_atomic_t *show_catch_signals(void);

#endif
