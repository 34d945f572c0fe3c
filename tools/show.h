/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Showing a move to whoever called `xl migrate` or `xl migrate-recover`: text on stderr, or
 * JSON on stdout; and the signals that end it.
 */
#ifndef XF_SHOW_H
#define XF_SHOW_H

#include <signal.h>

#include "libxl-ext/libxl_ext.h"
#include "tools/front.h"
#include "tools/progress.h"

struct show {
    const char *cmd; /* "migrate": what its lines begin with */
    bool json, quiet;
    struct progress_view view;
};

void show_init(struct show *s, const char *cmd, bool json, bool quiet, const struct xl_globals *g);

/* What xf_move() and its sisters call; s must outlive it. */
struct xf_watch show_watch(struct show *s);

/* The end, but for what is printed of a success (returns true then): the error and what to do,
 * in JSON the report. */
bool show_end(struct show *s, const struct xf_report *r, const struct xf_err *err);

/* From now on SIGINT, SIGTERM and SIGHUP count up what this returns (for `cancel`), and
 * SIGPIPE is ignored. Once per process. */
const volatile sig_atomic_t *show_catch_signals(void);

#endif
