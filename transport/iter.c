/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Walking iovecs: see iter.h. */
#include "transport/iter.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "transport/transport.h"

size_t xf_iter_piece(const struct xf_iter *it, size_t max, uint8_t **at)
{
    size_t len;
    int i;

    *at = NULL;
    if (max > it->left)
        max = it->left;
    if (max == 0)
        return 0;
    *at = (uint8_t *)it->iov->iov_base + it->off;
    len = it->iov->iov_len - it->off;
    for (i = 1; i < it->niov && len < max; i++) {
        if ((uint8_t *)it->iov[i].iov_base != *at + len)
            break;
        len += it->iov[i].iov_len;
    }
    return len < max ? len : max;
}

/* Also skips empty entries, so that a piece is never empty while something is left. */
void xf_iter_skip(struct xf_iter *it, size_t n)
{
    assert(n <= it->left);
    it->left -= n;
    it->off += n;
    while (it->niov > 0 && it->off >= it->iov->iov_len) {
        it->off -= it->iov->iov_len;
        it->iov++;
        it->niov--;
    }
}

struct xf_iter xf_iter(const struct iovec *iov, int niov, size_t len)
{
    struct xf_iter it = {iov, niov, 0, len};

    xf_iter_skip(&it, 0);
    return it;
}

size_t xf_iter_gather(struct xf_iter *it, void *buf, size_t max)
{
    size_t n = 0, len;
    uint8_t *at;

    while ((len = xf_iter_piece(it, max - n, &at))) {
        memcpy((uint8_t *)buf + n, at, len);
        xf_iter_skip(it, len);
        n += len;
    }
    return n;
}

size_t xf_iter_scatter(struct xf_iter *it, const void *buf, size_t len)
{
    size_t n = 0, part;
    uint8_t *at;

    while ((part = xf_iter_piece(it, len - n, &at))) {
        memcpy(at, (const uint8_t *)buf + n, part);
        xf_iter_skip(it, part);
        n += part;
    }
    return n;
}

int xf_iov_sum(const struct iovec *iov, int niov, uint64_t *sum, struct xf_err *err)
{
    int i;

    *sum = 0;
    if (niov < 0 || niov > XF_IOV_MAX)
        return xf_fail(err, EINVAL, "%d pieces of memory in one message, over the limit of %d",
                       niov, XF_IOV_MAX);
    for (i = 0; i < niov; i++) {
        if (iov[i].iov_len > XF_PAYLOAD_MAX)
            return xf_fail(err, EMSGSIZE, "a piece of payload of %zu bytes, over the limit of %u",
                           iov[i].iov_len, XF_PAYLOAD_MAX);
        *sum += iov[i].iov_len;
    }
    return 0;
}
