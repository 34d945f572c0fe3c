/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much pushed data may be on its way at once: what the path holds (its rate times its
 * shortest round trip) and a little more. Less would leave the line idle; more would only
 * lie in a queue, in front of the answers that a running guest waits for.
 *
 * Pure arithmetic over what the caller measures. One per bulk channel, used by one thread.
 */
#ifndef XF_WINDOW_H
#define XF_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define XF_WINDOW_BATCHES 64u /* on their way, at most */

struct xf_window {
    uint64_t in_flight, limit; /* bytes */
    double rate;               /* bytes per second, the best of late; 0: unknown */
    double rtt;                /* shortest seen, seconds; 0: unknown */
    uint64_t delivered;        /* bytes, all together */
    double delivered_at;
    struct {
        uint64_t bytes, delivered;
        double sent_at, delivered_at;
    } batches[XF_WINDOW_BATCHES]; /* ring */
    unsigned head, nr;
};

void xf_window_init(struct xf_window *w);
/* May another batch of so many bytes go out? Always when nothing is on its way. */
bool xf_window_room(const struct xf_window *w, uint64_t bytes);
/* A batch goes out; `now` in seconds of any steady clock. */
void xf_window_sent(struct xf_window *w, uint64_t bytes, double now);
/* The oldest batch has been taken by the peer. False: none was on its way. */
bool xf_window_taken(struct xf_window *w, double now);

#endif
