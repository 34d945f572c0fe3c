/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a move at the source publishes: notes and progress to whoever started it (xf_watch), its
 * state to `xl migrate-status` (moves/status.h). The move's thread only. None of these functions
 * fails.
 */
#ifndef XF_MOVE_STATUS_H
#define XF_MOVE_STATUS_H

#include "libxl-ext/source/move.h"

/* A sentence for the watcher, cleaned of characters unfit for a terminal. */
void xf_move_note(struct xf_move *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Enter a phase: book the time of the previous one, show the new one. */
void xf_move_phase(struct xf_move *m, enum xf_phase p);
/* Book the time until now for the present phase, without showing anything. */
void xf_move_book(struct xf_move *m);
/* Show progress, unless it was shown less than a tenth of a second ago. */
void xf_move_show(struct xf_move *m);

/* What the move waits for before it begins, for queries; "": nothing any more. */
void xf_move_waits(struct xf_move *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Serve status queries about the move; the domain is locked. A failure becomes a note. */
void xf_move_status_open(struct xf_move *m);
/* Update what queries return, and read requests; fills p's members on PULL. */
void xf_move_status_tell(struct xf_move *m, struct xf_progress *p);
/* Show the move for the last time, tell those who wait how it has ended (report->outcome; err: why,
 * may be NULL), and stop serving queries. */
void xf_move_status_close(struct xf_move *m, const struct xf_err *err);

#endif
