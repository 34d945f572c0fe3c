/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `xl migrate-status --watch`: the moves of this host, again and again. */
#ifndef XF_WATCH_H
#define XF_WATCH_H

#include <stdbool.h>

#include "transport/err.h"

/*
 * On a terminal: a table that fills it, until q or Ctrl-C; then the terminal is as it was before.
 * Elsewhere a line for each move when its phase or round changes, and every few seconds; with
 * `json` an object for each once a second. There it ends when nobody reads it any more, and if a
 * domain is named, once that is no longer moved. Single-threaded programs only: signals are blocked
 * meanwhile. -1: this host's moves cannot be read, or `domain` (NULL: all) has none.
 */
int watch_moves(const char *domain, bool json, struct xf_err *err);

#endif
