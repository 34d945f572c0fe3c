/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages on an ordered stream of bytes.
 */
#include "transport/message.h"

#include <errno.h>

#include "transport/frame.h"

int xf_message_send(struct xf_messages *s, const struct xf_msg *m, const void *meta,
                    const struct iovec *iov, int niov, struct xf_err *err)
{
    uint8_t frame[XF_FRAME_BYTES];
    struct iovec hv[2] = {{frame, sizeof(frame)}, {(void *)meta, m->meta_len}};
    struct xf_iter head = xf_iter(hv, 2, sizeof(frame) + (size_t)m->meta_len);
    struct xf_iter body;
    uint64_t sum;

    if (xf_iov_sum(iov, niov, &sum, err) || xf_frame_encode(frame, m, meta, err))
        return xf_wrap(err, "%s", s->who);
    if (sum != m->payload_len)
        return xf_fail(err, EINVAL, "%s: %llu bytes given for a payload of %u", s->who,
                       (unsigned long long)sum, m->payload_len);
    body = xf_iter(iov, niov, m->payload_len);
    return s->ops->send(s->chan, &head, &body, err);
}

int xf_message_recv(struct xf_messages *s, struct xf_msg *m, void *meta, int timeout_ms,
                    struct xf_err *err)
{
    uint8_t frame[XF_FRAME_BYTES];
    struct iovec v = {frame, sizeof(frame)};
    struct xf_iter it = xf_iter(&v, 1, sizeof(frame));
    int rc;

    if (s->payload_left)
        return xf_fail(err, EINVAL,
                       "%s: %u bytes of payload were not received before the next message", s->who,
                       s->payload_left);
    rc = s->ops->fill(s->chan, timeout_ms, err);
    if (rc)
        return rc;
    if (s->ops->recv(s->chan, &it, err))
        return -1;
    if (xf_frame_decode(m, frame, err))
        return xf_wrap(err, "%s", s->who);
    v = (struct iovec){meta, m->meta_len};
    it = xf_iter(&v, 1, m->meta_len);
    if (s->ops->recv(s->chan, &it, err))
        return -1;
    if (xf_frame_check(frame, m, meta, err))
        return xf_wrap(err, "%s", s->who);
    s->payload_left = m->payload_len;
    return 0;
}

int xf_message_recv_payload(struct xf_messages *s, const struct iovec *iov, int niov,
                            struct xf_err *err)
{
    struct xf_iter it;
    uint64_t sum;

    if (xf_iov_sum(iov, niov, &sum, err))
        return xf_wrap(err, "%s", s->who);
    if (sum > s->payload_left)
        return xf_fail(err, EINVAL, "%s: %llu bytes wanted of a payload that has %u left", s->who,
                       (unsigned long long)sum, s->payload_left);
    it = xf_iter(iov, niov, (size_t)sum);
    if (s->ops->recv(s->chan, &it, err))
        return -1;
    s->payload_left -= (uint32_t)sum;
    return 0;
}
