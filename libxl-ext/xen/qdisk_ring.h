/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether QEMU has answered all that a suspended guest has asked of its disks. Private to
 * libxl-ext. */
#ifndef XF_QDISK_RING_H
#define XF_QDISK_RING_H

#include <stdint.h>

#include "transport/err.h"

/*
 * Wait until the ring of every disk in `devids` (as xenstore calls them, "51712") is at rest,
 * timeout_ms at most; one that is not connected is. The guest is suspended. -1: it is not at rest,
 * or cannot be looked at.
 */
int xf_qdisk_rings_rest(uint32_t domid, const char (*devids)[24], unsigned n, int timeout_ms,
                        struct xf_err *err);

#endif
