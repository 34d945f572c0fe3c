/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether QEMU has answered all disk requests of a suspended guest. Private to libxl-ext. */
#ifndef XF_QDISK_RING_H
#define XF_QDISK_RING_H

#include <stdint.h>

#include "transport/err.h"

/*
 * Wait, timeout_ms at most, until the ring of every disk in `devids` (as in xenstore, "51712") is
 * idle; an unconnected one counts as idle. The guest is suspended. -1: a ring is not idle, or
 * cannot be read.
 */
int xf_qdisk_rings_rest(uint32_t domid, const char (*devids)[24], unsigned n, int timeout_ms,
                        struct xf_err *err);

#endif
