/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Putting a batch together, page by page: for all senders of guest pages. */
#ifndef XF_BATCH_H
#define XF_BATCH_H

#include "transport/wire.h"

/* An empty batch without a checksum. */
void xf_batch_clear(struct xf_batch *b, uint32_t round);
/* Add a page, whose gfn is above all before it; the batch has fewer than XF_BATCH_PAGES so far. */
void xf_batch_add(struct xf_batch *b, uint64_t gfn, enum xf_run_kind kind);
/* Add a page's bytes to the iovec of n pieces; adjacent ones are joined. Returns the new n. */
int xf_iov_add(struct iovec *iov, int n, uint8_t *page);

#endif
