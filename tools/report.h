/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The message at the end of a move: how it went, or where the guest is and what to do.
 */
#ifndef XF_REPORT_H
#define XF_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "libxl-ext/libxl_ext.h"

/* A move that succeeded, in at most 80 columns. */
void report_print(FILE *out, const struct xf_report *r);

/* A row for each disk that moves; check: what it would take. */
void report_disks(FILE *out, const struct xf_report *r, bool check);

/* A move that `xl migrate-recover` finished. */
void report_recovered(FILE *out, const struct xf_report *r);

/* Where a failed move left the guest and what to do: some sentences. */
#define REPORT_ADVICE 2400u /* size of a buffer that every advice fits into */
void report_advice(char *buf, size_t n, const struct xf_report *r);
/* A guest resumed here has lost its xl monitor (xf_report.monitor_lost): what that means, and what
 * to do. */
void report_monitor(char *buf, size_t n, const char *domain);

#endif
