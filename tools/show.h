/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Showing a move to whoever called `xl migrate` or `xl migrate-recover`: text on stderr, or
 * JSON on stdout; and the signals that end it.
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
    /* --no-wait, set by the caller after show_init(): once PULL begins the call is left, and what
     * is to be said goes to the log. NULL: no. */
    struct background *background;
    const char *domain;             /* as the caller named it */
    const struct xf_report *report; /* being filled */
};

/* in_place: progress is rewritten in one line. */
void show_init(struct show *s, const char *cmd, bool json, bool quiet, bool in_place);

/* What xf_move() and its sisters call; s must outlive it. */
struct xf_watch show_watch(struct show *s);

/* The end, but for what is printed of a success (returns true then): the error and what to do,
 * in JSON the report. */
bool show_end(struct show *s, const struct xf_report *r, const struct xf_err *err);

/* From now on SIGINT, SIGTERM and SIGHUP count up what this returns (for `cancel`), and
 * SIGPIPE is ignored. Once per process. */
const volatile sig_atomic_t *show_catch_signals(void);

#endif
