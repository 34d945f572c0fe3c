/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The JSON lines of status.h, as sent over the sockets and written to the files of ended moves. For
 * status_server.c, status_client.c and tests. Any thread.
 */
#ifndef XF_STATUS_LINES_H
#define XF_STATUS_LINES_H

#include "libxl-ext/moves/status.h"

/* Writes a line with its newline and a NUL into `line`; returns its length, 0: impossible. */
size_t xf_status_encode(const struct xf_status *s, char line[XF_STATUS_LINE]);
size_t xf_ended_encode(const struct xf_ended *e, char line[XF_STATUS_LINE]);
size_t xf_answer_encode(const char *why_not, char line[XF_STATUS_LINE]);
/* From a line without its newline, every field checked. */
int xf_status_decode(const char *line, size_t len, struct xf_status *out, struct xf_err *err);
int xf_ended_decode(const char *line, size_t len, struct xf_ended *out, struct xf_err *err);
/* The answer to "postcopy": 0, or -1 with the reason. */
int xf_answer_decode(const char *line, size_t len, struct xf_err *err);

#endif
