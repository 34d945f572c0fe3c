/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the clients of a move's socket share (status_client.c, status_wait.c). Any thread. */
#ifndef XF_STATUS_DIAL_H
#define XF_STATUS_DIAL_H

#include "libxl-ext/moves/status_lines.h"

#define XF_STATUS_ANSWER_MS 2000

/* Result of querying a socket. XF_SILENT: its process lives, as far as we can see. */
enum xf_heard { XF_HEARD, XF_GONE, XF_SILENT };
/* Connect, and read the status. *fd is the caller's to close after XF_HEARD. */
enum xf_heard xf_status_hear(const char *path, int *fd, struct xf_status *out);

/* Read one line without its newline; returns its length, or -1 when none arrives in time. Reads
 * nothing after it. */
ssize_t xf_status_read_line(int fd, char line[XF_STATUS_LINE], int within_ms);

/* Find the outgoing move that is meant: its socket's number, or the reason in err. */
int xf_status_find_source(const char *domain, uint32_t *domid, struct xf_err *err);

#endif
