/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Putting a batch together: see batch.h. */
#include "pages/batch.h"

#include <assert.h>

void xf_batch_clear(struct xf_batch *b, uint32_t round)
{
    b->round = round;
    b->nr_runs = b->nr_pages = b->data_pages = 0;
    b->sum = 0;
}

void xf_batch_add(struct xf_batch *b, uint64_t gfn, enum xf_run_kind kind)
{
    struct xf_run *r = b->nr_runs ? &b->runs[b->nr_runs - 1] : NULL;

    assert(b->nr_pages < XF_BATCH_PAGES && (!r || gfn >= r->gfn + r->count));
    b->nr_pages++;
    if (kind == XF_RUN_DATA)
        b->data_pages++;
    if (r && r->kind == (uint32_t)kind && r->gfn + r->count == gfn) {
        r->count++;
        return;
    }
    b->runs[b->nr_runs++] = (struct xf_run){.gfn = gfn, .count = 1, .kind = kind};
}

int xf_iov_add(struct iovec *iov, int n, uint8_t *page)
{
    if (n && (uint8_t *)iov[n - 1].iov_base + iov[n - 1].iov_len == page) {
        iov[n - 1].iov_len += XF_PAGE_SIZE;
        return n;
    }
    iov[n] = (struct iovec){.iov_base = page, .iov_len = XF_PAGE_SIZE};
    return n + 1;
}
