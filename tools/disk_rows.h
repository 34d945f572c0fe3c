/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks that move with a guest, in words. */
#ifndef XF_DISK_ROWS_H
#define XF_DISK_ROWS_H

#include <stddef.h>

#include "libxl-ext/libxl_ext.h"

/* One of a report, in a line; with --check what it would take. */
void disk_row(char *buf, size_t n, const struct xf_disk_report *d, bool check);
/* All of them, while they move: "1 of 2 follow, 3 GiB of 10 GiB left". */
void disks_progress_row(char *buf, size_t n, const struct xf_disks_progress *d);
/* What may be done with a guest that ran at the destination and is gone there, since its disks here
 * are as old as its memory here; starts with a blank. Nothing if none has moved. */
void disks_advice(char *buf, size_t n, const struct xf_report *r);

#endif
