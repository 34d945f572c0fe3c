/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Is a page all zero? */
#ifndef XF_ZERO_H
#define XF_ZERO_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "transport/wire.h"

/* Reads 64 bytes at a time and stops at the first that are not zero, so that a page with
 * content usually costs one cache line. The page may change meanwhile. */
static inline bool xf_page_is_zero(const uint8_t *page)
{
    for (unsigned i = 0; i < XF_PAGE_SIZE; i += 64) {
        uint64_t w[8];

        memcpy(w, page + i, sizeof(w));
        if (w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7])
            return false;
    }
    return true;
}

#endif
