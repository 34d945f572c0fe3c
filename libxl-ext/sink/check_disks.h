/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHECK at the destination: the disks that move with the guest. */
#ifndef XF_CHECK_DISKS_H
#define XF_CHECK_DISKS_H

#include "libxl-ext/peer/check.h"

/* Choose a place for each disk of hello->disks and enter it in the reply; a finding for each that
 * cannot be had: not allowed, taken, too little space; and one if no disk can be received at all.
 * Makes nothing. */
void xf_check_disks(const struct xf_stores *allowed, const struct xf_hello *hello,
                    struct xf_reply *reply, struct xf_findings *f);

#endif
