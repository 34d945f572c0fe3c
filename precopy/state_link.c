/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest's state on the control channel: see state_link.h. */
#include "precopy/state_link.h"

#include <errno.h>
#include <stdlib.h>

/* Room for what an encoder writes: XF_PARTS_MAX pieces, or XF_PARAMS_MAX parameters. */
#define META_BYTES 2048u

static int send_first(struct xf_link *l, const struct xf_state *s, struct xf_err *err)
{
    struct xf_msg m = {.type = XF_MSG_STATE};
    uint8_t meta[META_BYTES];
    struct xf_state1 one;
    const void *context;
    struct iovec iov;

    if (xf_state_to1(s, &one, &context, &m.payload_len, err))
        return -1;
    iov = (struct iovec){(void *)context, m.payload_len};
    m.meta_len = (uint32_t)xf_state1_encode(&one, meta);
    return l->ops->send(l->control, &m, meta, &iov, 1, err);
}

int xf_state_send(struct xf_link *l, const struct xf_state *s, struct xf_err *err)
{
    struct xf_pieces pieces = {0};
    struct xf_state_at at = {0};
    struct iovec iov[XF_PARTS_MAX];
    uint8_t meta[META_BYTES];

    if (xf_link_version(l) == 1)
        return send_first(l, s, err);
    while (!pieces.last) {
        struct xf_msg m = {.type = XF_MSG_STATE};

        xf_state_cut(s, &at, &pieces, iov);
        for (uint32_t i = 0; i < pieces.nr; i++)
            m.payload_len += pieces.list[i].len;
        m.meta_len = (uint32_t)xf_pieces_encode(&pieces, meta);
        if (!m.meta_len)
            return xf_fail(err, EINVAL, "the guest has no state");
        if (l->ops->send(l->control, &m, meta, iov, (int)pieces.nr, err))
            return -1;
    }
    return 0;
}

static int receive_first(struct xf_link *l, struct xf_state_in *in, const struct xf_msg *m,
                         const uint8_t *meta, struct xf_err *err)
{
    struct iovec iov = {.iov_len = m->payload_len};
    struct xf_state1 one;

    if (in->complete)
        return xf_fail(err, EPROTO, "the source sent the guest's state twice");
    if (xf_state1_decode(&one, m, meta, err))
        return -1;
    iov.iov_base = malloc(iov.iov_len ? iov.iov_len : 1);
    if (!iov.iov_base)
        return xf_fail(err, ENOMEM, "out of memory for %u bytes of CPU state", m->payload_len);
    if (m->payload_len && l->ops->recv_payload(l->control, &iov, 1, err)) {
        free(iov.iov_base);
        return -1;
    }
    in->complete = true;
    return xf_state_from1(&in->state, &one, iov.iov_base, m->payload_len, err);
}

/* Receive len bytes and discard them. */
static int skip(struct xf_link *l, size_t len, uint8_t *scratch, struct xf_err *err)
{
    while (len) {
        struct iovec iov = {scratch, len < XF_META_MAX ? len : XF_META_MAX};

        if (l->ops->recv_payload(l->control, &iov, 1, err))
            return -1;
        len -= iov.iov_len;
    }
    return 0;
}

int xf_state_receive(struct xf_link *l, struct xf_state_in *in, const struct xf_msg *m,
                     uint8_t *meta, struct xf_err *err)
{
    struct iovec iov[XF_PARTS_MAX];
    struct xf_pieces pieces;

    if (xf_link_version(l) == 1)
        return receive_first(l, in, m, meta, err);
    if (xf_pieces_decode(&pieces, m, meta, err) || xf_state_take(in, &pieces, iov, err))
        return -1;
    for (uint32_t i = 0; i < pieces.nr; i++)
        if (iov[i].iov_base ? l->ops->recv_payload(l->control, &iov[i], 1, err)
                            : skip(l, iov[i].iov_len, meta, err))
            return -1;
    return 0;
}
