/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A place in a caller's iovecs, for every transport: walking them piece by piece, and
 * copying out of and into them. Allocates nothing.
 */
#ifndef XF_ITER_H
#define XF_ITER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "transport/err.h"

#define XF_IOV_MAX 2048 /* as promised in transport.h */

struct xf_iter {
    const struct iovec *iov;
    int niov;
    size_t off;  /* into iov[0] */
    size_t left; /* bytes from here on that are wanted */
};

/* The first len bytes of iov, which holds at least as many. */
struct xf_iter xf_iter(const struct iovec *iov, int niov, size_t len);

/* *at is where the iterator stands. Returns how many bytes (up to max) lie there in one piece,
 * adjacent entries joined. 0 only at the end. */
size_t xf_iter_piece(const struct xf_iter *it, size_t max, uint8_t **at);

/* Step over n bytes, n <= left. */
void xf_iter_skip(struct xf_iter *it, size_t n);

/* Copy up to max bytes from where the iterator stands to buf, and step over them. */
size_t xf_iter_gather(struct xf_iter *it, void *buf, size_t max);

/* Copy up to len bytes from buf to where the iterator stands, and step over them. */
size_t xf_iter_scatter(struct xf_iter *it, const void *buf, size_t len);

/* The bytes of all iovecs; EINVAL or EMSGSIZE if they are more than a message may have. */
int xf_iov_sum(const struct iovec *iov, int niov, uint64_t *sum, struct xf_err *err);

#endif
