/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The speed of a link, measured by sending bytes that the sink discards: for `--check`, which moves
 * nothing. Takes about a second, and on a slow link as long as 256 KiB for each bulk channel take.
 *
 * On each bulk channel: PROBE messages, whose payload is discarded, and then one without payload,
 * which is answered by PROBE_ACK when everything before it has arrived. Any number of times. On the
 * control channel PING, answered by PONG. The source ends it by closing the link.
 */
#ifndef XF_SPEED_H
#define XF_SPEED_H

#include "transport/link.h"

struct xf_speed {
    double bytes_per_s; /* all bulk channels together; encryption included */
    double round_trip_s;
    uint64_t bytes; /* sent for it */
};

/* Source: measure. All channels are open, and nobody uses them; uses a thread for each bulk channel
 * meanwhile. After -1, which may be the tick's error, the link can only be closed. */
int xf_speed_measure(struct xf_link *l, struct xf_tick tick, struct xf_speed *out,
                     struct xf_err *err);

/* Sink: answer until the source closes the link (0). -1: the tick's error, or the source broke the
 * protocol, or took more than within_ms. The link can only be closed then. */
int xf_speed_serve(struct xf_link *l, int within_ms, struct xf_tick tick, struct xf_err *err);

#endif
