/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pages of a guest that stands still: see still.h. */
#include "postcopy/still.h"

#include <assert.h>
#include <string.h>

#include "pages/batch.h"
#include "pages/zero.h"
#include "transport/clock.h"

int xf_still_read(struct xf_source_vm *vm, struct xf_view *view, const uint64_t *gfns, unsigned n,
                  struct xf_still *out, struct xf_cost *map, struct xf_cost *copy,
                  struct xf_err *err)
{
    uint64_t began = xf_now_ns();
    size_t len = 0;

    assert(n && n <= XF_STILL_MAX);
    if (vm->ops->map(view, gfns, n, &out->map, err))
        return -1;
    xf_cost_add(map, n, began);
    began = xf_now_ns();
    xf_batch_clear(&out->batch, 0);
    for (unsigned i = 0; i < n; i++) {
        uint8_t *page = out->map.page[i];

        if (out->map.err[i] || xf_page_is_zero(page)) {
            xf_batch_add(&out->batch, gfns[i], XF_RUN_ZERO);
            continue;
        }
        xf_batch_add(&out->batch, gfns[i], XF_RUN_DATA);
        memcpy(out->copy + len, page, XF_PAGE_SIZE);
        len += XF_PAGE_SIZE;
    }
    out->iov = (struct iovec){.iov_base = out->copy, .iov_len = len};
    xf_cost_add(copy, 0, began);
    began = xf_now_ns();
    vm->ops->unmap(view, &out->map);
    xf_cost_add(map, 0, began);
    /* The answer holds for the pages only if it is asked for after they were read. */
    return vm->ops->untouched(vm, view, err);
}
