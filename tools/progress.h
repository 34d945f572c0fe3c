/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Showing a running move on a terminal or in a log. JSON is in json.h.
 */
#ifndef XF_PROGRESS_H
#define XF_PROGRESS_H

#include <stdbool.h>
#include <stdio.h>

#include "libxl-ext/libxl_ext.h"

/* One line about `p`, without newline, of at most `width` columns (and n - 1 bytes): the least
 * important parts are dropped first when there is no room. Returns its length. */
size_t progress_line(char *buf, size_t n, unsigned width, const struct xf_progress *p);

struct progress_view {
    FILE *out;
    bool in_place;  /* rewrite one line; else a line for each phase, each round, and every 5 s */
    unsigned drawn; /* columns of the line now on the screen */
    bool any;
    enum xf_phase phase; /* of the last line printed */
    unsigned round;
    double at_s;
};

void progress_init(struct progress_view *v, FILE *out, bool in_place);
void progress_show(struct progress_view *v, const struct xf_progress *p);
/* Erase the line before something else is printed. */
void progress_clear(struct progress_view *v);

#endif
