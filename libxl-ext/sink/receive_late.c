/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Late devices: the stock xl builds the domain in SKELETON up to the point where it would attach
 * the devices. It attaches them in SWITCH, when it is fed the rest of its stream, which begins with
 * the device model's state. The guest stands still meanwhile, as in a stock migration; but it works
 * where a device model cannot be started ahead. See receive_parts.h.
 */
#include <stddef.h>
#include <stdlib.h>

#include "libxl-ext/sink/receive_parts.h"
#include "transport/clock.h"
#include "transport/times.h"

#define SLICE_MS 20

/* xf_sink_ops.load_devices: the guest is complete but for its devices. */
static int load_devices(struct xf_sink_vm *vm, const struct xf_state *state, struct xf_err *err)
{
    struct sink *s = (struct sink *)((char *)vm - offsetof(struct sink, xen.vm));
    int64_t until = xf_now_ms() + XF_LATE_DEVICES_MS;
    void *rest;
    size_t len;
    int rc;

    if (xf_stream_rest(state, &rest, &len, err))
        return -1;
    free(s->build.stream);
    s->build.stream = rest;
    xf_builder_feed_last(&s->build.builder, rest, len);
    while ((rc = xf_builder_step(&s->build.builder, SLICE_MS, err)) == XF_AGAIN)
        if (xf_sink_tick(s, err) || xf_sink_in_time(until, XF_LATE_DEVICES_MS, XF_ATTACHES, err))
            return -1;
    s->build.devices = !rc;
    return rc;
}

void xf_sink_late(struct sink *s)
{
    s->xen.late = true;
    s->xen.ops.load_devices = load_devices;
}
