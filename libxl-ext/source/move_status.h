/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a move at the source tells of itself: notes and progress to whoever started it (xf_watch),
 * its state to `xl migrate-status` (moves/status.h). The move's thread only. None of these fails.
 */
#ifndef XF_MOVE_STATUS_H
#define XF_MOVE_STATUS_H

#include "libxl-ext/source/move.h"

/* A sentence for the watcher, cleaned of what no terminal should get. */
void xf_move_note(struct xf_move *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Go on to a phase: book the time of the one before, show it. */
void xf_move_phase(struct xf_move *m, enum xf_phase p);
/* Book the time until now for the present phase, and show nothing. */
void xf_move_book(struct xf_move *m);
/* Show how far it has come, unless that was done less than a tenth of a second ago. */
void xf_move_show(struct xf_move *m);

/* Let others ask how the move stands; the domain is locked. A failure is a note. */
void xf_move_status_open(struct xf_move *m);
/* Tell them, and hear what they want; fills what p says of PULL. */
void xf_move_status_tell(struct xf_move *m, struct xf_progress *p);
/* Show it for the last time; nobody can ask from now on. */
void xf_move_status_close(struct xf_move *m);

#endif
