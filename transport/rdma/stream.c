/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes on an open channel: cut into fragments, one copy between the caller's memory and the ring
 * at each end. Knows nothing of messages.
 */
#include "transport/rdma/rdma.h"

#include <assert.h>
#include <errno.h>

static bool has_room(const struct xf_chan *c)
{
    return c->credits && c->data - c->data_done < c->tx.slots &&
           c->posted - c->done < c->depth - XF_RDMA_SPARE;
}

static bool has_fragment(const struct xf_chan *c)
{
    return c->waiting;
}

static int wait_stall(struct xf_chan *c, bool (*cond)(const struct xf_chan *), struct xf_err *err)
{
    struct xf_wait w = xf_wait_begin(&c->messages, c->stall_ms, cond == has_fragment);
    int rc;

    do {
        rc = xf_rdma_wait(c, cond, xf_wait_slice(&w), err);
        if (rc >= 0 && xf_wait_on(&w, rc == 0, err))
            return -1;
    } while (rc == 1);
    return rc;
}

/* Put the next fragment into its slot; *len is the length to send. */
static int fill_slot(struct xf_chan *c, struct xf_iter *head, struct xf_iter *body, uint32_t *len,
                     struct xf_err *err)
{
    uint8_t *at = xf_rdma_slot(&c->tx, c->data % c->tx.slots);
    size_t max = c->tx.slot - XF_TAG_BYTES, n = head->left + body->left;

    if (!c->seal.cipher) {
        n = xf_iter_gather(head, at, c->tx.slot);
        n += xf_iter_gather(body, at + n, c->tx.slot - n);
        *len = (uint32_t)n;
        return 0;
    }
    /* A fragment can be decrypted in place if it belongs to one place: in a message of several
     * fragments, the head is sent on its own. */
    if (n > max && head->left)
        n = head->left;
    if (n > max)
        n = max;
    *len = (uint32_t)(n + XF_TAG_BYTES);
    return xf_rdma_seal_gather(c, head, body, n, at, err);
}

int xf_rdma_stream_send(struct xf_chan *c, struct xf_iter *head, struct xf_iter *body,
                        struct xf_err *err)
{
    while (head->left || body->left) {
        uint32_t len;

        if (wait_stall(c, has_room, err))
            return -1;
        if (xf_rdma_ended(c))
            return xf_rdma_end(c, err);
        if (fill_slot(c, head, body, &len, err) || xf_rdma_post_data(c, len, err))
            return -1;
    }
    return 0;
}

static struct xf_rdma_fragment next(const struct xf_chan *c)
{
    assert(c->waiting && c->waiting <= c->window);
    return c->queue[(c->arrived - c->waiting) % c->window];
}

/* Make the next fragment available at `ahead`. */
static int load(struct xf_chan *c, struct xf_err *err)
{
    struct xf_rdma_fragment f = next(c);
    uint8_t *at = xf_rdma_slot(&c->rx, f.slot);
    struct iovec v;
    struct xf_iter to;

    c->waiting--;
    if (!c->unseal.cipher) {
        c->ahead = at;
        c->ahead_len = f.len;
        c->ahead_slot = f.slot;
        return 0;
    }
    v = (struct iovec){c->open, f.len - XF_TAG_BYTES};
    to = xf_iter(&v, 1, v.iov_len);
    if (xf_rdma_seal_scatter(c, at, f.len, &to, err))
        return -1;
    c->ahead = c->open;
    c->ahead_len = v.iov_len;
    return xf_rdma_release(c, f.slot, err);
}

int xf_rdma_stream_fill(struct xf_chan *c, int timeout_ms, struct xf_err *err)
{
    int rc;

    if (c->ahead_len)
        return 0;
    rc = xf_rdma_wait(c, has_fragment, timeout_ms, err);
    if (rc)
        return rc < 0 ? -1 : XF_AGAIN;
    return load(c, err);
}

static int take_ahead(struct xf_chan *c, struct xf_iter *to, struct xf_err *err)
{
    size_t n = xf_iter_scatter(to, c->ahead, c->ahead_len);
    int64_t slot = c->ahead_slot;

    c->ahead += n;
    c->ahead_len -= n;
    if (c->ahead_len || slot < 0)
        return 0;
    c->ahead_slot = -1;
    return xf_rdma_release(c, (uint32_t)slot, err);
}

/* Decrypt the next fragment straight into `to`, where all of it belongs. */
static int take_sealed(struct xf_chan *c, struct xf_iter *to, struct xf_err *err)
{
    struct xf_rdma_fragment f = next(c);

    c->waiting--;
    if (xf_rdma_seal_scatter(c, xf_rdma_slot(&c->rx, f.slot), f.len, to, err))
        return -1;
    return xf_rdma_release(c, f.slot, err);
}

int xf_rdma_stream_recv(struct xf_chan *c, struct xf_iter *to, struct xf_err *err)
{
    for (;;) {
        if (c->ahead_len && take_ahead(c, to, err))
            return -1;
        if (to->left == 0)
            return 0;
        if (wait_stall(c, has_fragment, err))
            return -1;
        if (c->unseal.cipher && next(c).len - XF_TAG_BYTES <= to->left) {
            if (take_sealed(c, to, err))
                return -1;
        } else if (load(c, err)) {
            return -1;
        }
    }
}
