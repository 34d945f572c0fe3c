/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages on an ordered stream of bytes.
 */
#include "transport/message.h"

#include <errno.h>

#include "transport/clock.h"
#include "transport/frame.h"

#define TICK_MS 100

struct xf_wait xf_wait_begin(struct xf_messages *s, int stall_ms, bool input)
{
    int64_t now = xf_now_ms();

    return (struct xf_wait){.s = s, .stall_ms = stall_ms, .input = input, .at = now, .moved = now};
}

/* Time until this peer has kept us waiting too long, as far as known now, ms; -1: never. */
static int64_t time_left(const struct xf_wait *w)
{
    int64_t stall, whole;

    if (w->stall_ms <= 0)
        return -1;
    stall = w->stall_ms - (w->at - w->moved);
    whole = w->stall_ms + w->s->allowed_ms - w->s->waited_ms;
    if (w->input && whole < stall)
        stall = whole;
    return stall > 0 ? stall : 0;
}

int xf_wait_slice(const struct xf_wait *w)
{
    int64_t left = time_left(w);

    if (w->s->tick.call && (left < 0 || left > TICK_MS))
        return TICK_MS;
    return (int)left;
}

int xf_wait_on(struct xf_wait *w, bool moved, struct xf_err *err)
{
    struct xf_messages *s = w->s;
    int64_t now = xf_now_ms();

    if (w->input)
        s->waited_ms += now - w->at;
    w->at = now;
    if (moved)
        w->moved = now;
    if (s->tick.call && now - s->ticked >= TICK_MS) {
        s->ticked = now;
        if (xf_tick(s->tick, err))
            return -1;
    }
    if (time_left(w))
        return 0;
    if (now - w->moved >= w->stall_ms)
        return xf_fail_link(err, ETIMEDOUT, "%s: the peer has %s nothing for %d ms", s->who,
                            w->input ? "sent" : "taken", w->stall_ms);
    return xf_fail_link(err, ETIMEDOUT,
                        "%s: the peer sent only part of a message, and not the rest within %lld ms",
                        s->who, (long long)s->waited_ms);
}

/* Set the time allowed for a message of `bytes` bytes. */
static void allow(struct xf_messages *s, uint64_t bytes)
{
    s->allowed_ms = (int64_t)(bytes / XF_BYTES_PER_MS);
}

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
    s->waited_ms = 0;
    allow(s, XF_FRAME_BYTES + (uint64_t)XF_META_MAX);
    rc = s->ops->fill(s->chan, timeout_ms, err);
    if (rc)
        return rc;
    if (s->ops->recv(s->chan, &it, err))
        return -1;
    if (xf_frame_decode(m, frame, err))
        return xf_wrap(err, "%s", s->who);
    allow(s, XF_FRAME_BYTES + (uint64_t)m->meta_len + m->payload_len);
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
