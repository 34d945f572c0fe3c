/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The moves of a host as a table that fills a terminal, for `xl migrate-status --watch`; and one of
 * them as a line for a log. Only text: watch.c has the terminal. Any thread; no state.
 */
#ifndef XF_WATCH_TABLE_H
#define XF_WATCH_TABLE_H

#include <stdio.h>
#include <time.h>

#include "libxl-ext/moves/status.h"

struct table_view {
    unsigned columns, rows; /* of the terminal */
    bool utf8;              /* it shows UTF-8; else other characters than ASCII become '?' */
    const char *domain;     /* only this one's moves; NULL: all */
    time_t now;
};

/* Write at most `rows` lines, each ended by `end` ("\033[K\r\n": blank to the edge) but the last,
 * and none of them wider than `columns` - 1. Those that run come first, then those that wait; what
 * has no room is counted. */
void table_write(FILE *out, const struct xf_status_list *all, const struct table_view *v,
                 const char *end);

/* "web1 to host2: COPY round 2  17%  112 MiB/s  dirty 3.0 MiB/s  ETA 12 s" */
void table_line(char *buf, size_t n, const struct xf_status *s);

#endif
