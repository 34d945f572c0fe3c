/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much pushed data may be in flight: what the path holds (its rate times its shortest round
 * trip) and a little more. Less would leave the path idle; more would only wait in a queue, ahead
 * of the answers that a running guest waits for.
 *
 * Data that has crossed the network and only waits for the peer to take it delays nothing: answers
 * have a connection of their own. A peer whose processor is busy (with the guest) answers late, and
 * a sender that waited for each answer would send next to nothing. So where the transport reports
 * how much is still in the network, only that is kept small, and as much may wait at the peer as it
 * takes in a tenth of a second.
 *
 * Pure arithmetic over what the caller measures. One per bulk channel, used by one thread.
 */
#ifndef XF_WINDOW_H
#define XF_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XF_WINDOW_BATCHES 64u /* in flight, at most */
#define XF_WINDOW_UNKNOWN UINT64_MAX

/* Pages of one push: few, so that a bubble follows the faults closely, unless the path holds so
 * much that a small batch would be negligible. MIN where 16 would take half a millisecond, for
 * which an answer would wait. */
#define XF_PUSH_MIN 8u
#define XF_PUSH_FULL 16u
#define XF_PUSH_MAX 256u

struct xf_window {
    uint64_t in_flight, limit; /* bytes */
    unsigned more;             /* bytes beyond what the path holds */
    uint64_t waiting;          /* bytes that may be in flight if the network holds few of them */
    double rate;               /* bytes per second, the best of recent samples; 0: unknown */
    double rtt;                /* shortest seen, seconds; 0: unknown */
    bool slow;                 /* the path was slow once; a hold for that must be released */
    uint64_t delivered;        /* bytes, in total */
    double delivered_at;       /* when the last of them was taken, and when it was sent */
    double delivered_sent;
    struct {
        uint64_t bytes, delivered;
        double sent_at, delivered_at, delivered_sent; /* of the window when this went out */
    } batches[XF_WINDOW_BATCHES];                     /* ring */
    unsigned head, nr;
};

void xf_window_init(struct xf_window *w);
/* May another batch of `bytes` be sent? Always when nothing is in flight. in_network: bytes that
 * have not reached the peer's machine, or XF_WINDOW_UNKNOWN. */
bool xf_window_room(const struct xf_window *w, uint64_t bytes, uint64_t in_network);
/* Bytes of this channel that may be in the network beyond what the path holds, once the path was
 * found to be slow: queued, they would delay an answer. XF_WINDOW_ANY: it is no longer slow; 0:
 * it never was. */
#define XF_WINDOW_ANY (4u << 20)
size_t xf_window_slack(const struct xf_window *w);
/* Most pages for the next push, XF_PUSH_MIN to XF_PUSH_MAX. */
unsigned xf_window_push(const struct xf_window *w);
/* A batch is sent; `now` in seconds of any steady clock. */
void xf_window_sent(struct xf_window *w, uint64_t bytes, double now);
/* The oldest batch has been taken by the peer. False: none was in flight. */
bool xf_window_taken(struct xf_window *w, double now);

#endif
