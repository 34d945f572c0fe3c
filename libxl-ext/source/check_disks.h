/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHECK at the source: the disks that move with the guest. */
#ifndef XF_SOURCE_CHECK_DISKS_H
#define XF_SOURCE_CHECK_DISKS_H

#include "libxl-ext/peer/check.h"
#include "libxl-ext/source/move.h"

/* Which of the guest's disks move: they are entered in m->disks, in the hello instead of among the
 * needs, and in the report; a finding for each that cannot. -1: the look itself has failed. Call
 * after the needs are known and the guest's images open. */
int xf_move_disks_look(struct xf_move *m, struct xf_findings *found, struct xf_err *err);

/* The destination has named its places: enter them in the configuration that it will build from,
 * and in the report. EPROTO: they do not fit what was asked for. */
int xf_move_disks_place(struct xf_move *m, struct xf_findings *found, struct xf_err *err);

/* --check has measured the link: what copying the disks would take. */
void xf_move_disks_foresee(struct xf_move *m);

#endif
