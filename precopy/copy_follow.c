/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * COPY at the source, beside the pages: does the guest still exist, and what the destination is
 * asked or told about it on the control channel: its devices, its memory target, its changes. Only
 * one answer is due there at a time.
 */
#include "precopy/copy_parts.h"

#define TICK_MS 50
/* Seconds between checks that the guest still exists. */
#define ALIVE_EVERY 0.1

int xf_copy_tick(void *priv, struct xf_err *err)
{
    struct xf_copy *c = priv;
    double now = xf_now();

    /* First: any other failure may result from the guest's end. */
    if (c->vm->ops->alive && !c->times.began && now - c->alive_at >= ALIVE_EVERY) {
        c->alive_at = now;
        if (c->vm->ops->alive(c->vm, err))
            return -1;
    }
    return xf_tick(c->tick, err);
}

int xf_copy_ask_devices(struct xf_copy *c, int wait_ms, struct xf_err *err)
{
    uint8_t meta[XF_META_MAX];
    struct xf_msg m;
    int rc;

    if (c->devices)
        return 0;
    if (!c->devices_asked && xf_link_say(c->link, XF_MSG_DEVICES, NULL, 0, err))
        return -1;
    c->devices_asked = true;
    rc = xf_link_hear(c->link, XF_MSG_DEVICES_ACK, &m, meta, wait_ms, err);
    c->devices = rc == 0;
    return rc;
}

int xf_copy_await_devices(struct xf_copy *c, bool *waited, struct xf_err *err)
{
    int rc;

    *waited = false;
    while ((rc = xf_copy_ask_devices(c, TICK_MS, err)) == XF_AGAIN) {
        *waited = true;
        if (xf_copy_tick(c, err))
            return -1;
    }
    return rc;
}

int xf_copy_follow_target(struct xf_copy *c, struct xf_err *err)
{
    uint8_t meta[XF_META_MAX];
    struct xf_msg m;
    uint64_t kib;
    int rc;

    /* Only one answer at a time may be due on the control channel: try again later. */
    if (c->devices_asked && !c->devices)
        return 0;
    if (c->vm->ops->target(c->vm, &kib, err))
        return -1;
    if (kib == c->target_kib)
        return 0;
    if (xf_link_say_u64s(c->link, XF_MSG_TARGET, &kib, 1, err))
        return -1;
    while ((rc = xf_link_hear(c->link, XF_MSG_TARGET_ACK, &m, meta, TICK_MS, err)) == XF_AGAIN)
        if (xf_copy_tick(c, err))
            return -1;
    c->target_kib = kib;
    return rc;
}

int xf_copy_follow(struct xf_copy *c, struct xf_err *err)
{
    uint8_t meta[XF_META_MAX];
    struct xf_msg m;
    int rc;

    if (!c->follow_due || (c->devices_asked && !c->devices))
        return 0;
    c->follow_due = false; /* the ticks below may set it again */
    rc = xf_link_say(c->link, XF_MSG_FOLLOW, meta, xf_follow_encode(c->follow, meta), err);
    if (!rc)
        while ((rc = xf_link_hear(c->link, XF_MSG_FOLLOW_ACK, &m, meta, TICK_MS, err)) == XF_AGAIN)
            if (xf_copy_tick(c, err)) {
                rc = -1;
                break;
            }
    if (rc)
        c->follow_due = true; /* try again over another link */
    return rc;
}
