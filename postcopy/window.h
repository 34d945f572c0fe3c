/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much pushed data may be on its way at once: what the path holds (its rate times its
 * shortest round trip) and a little more. Less would leave the line idle; more would only
 * lie in a queue, in front of the answers that a running guest waits for.
 *
 * What has crossed the network and only waits until the peer gets round to it is in nobody's
 * way: answers have a connection of their own. A peer whose processor is busy (with the guest)
 * answers late, and whoever waited for each answer would send next to nothing. So where the
 * transport tells what the network still holds, that is what must not become much, and what
 * waits at the peer may be what it takes in a tenth of a second.
 *
 * Pure arithmetic over what the caller measures. One per bulk channel, used by one thread.
 */
#ifndef XF_WINDOW_H
#define XF_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XF_WINDOW_BATCHES 64u /* on their way, at most */
#define XF_WINDOW_UNKNOWN UINT64_MAX

/* Pages of one push: few, so that a bubble follows the faults closely, unless the path holds
 * so much that a batch of few would be lost in it. MIN where 16 would take half a millisecond, and
 * an answer wait for it. */
#define XF_PUSH_MIN 8u
#define XF_PUSH_FULL 16u
#define XF_PUSH_MAX 256u

struct xf_window {
    uint64_t in_flight, limit; /* bytes */
    unsigned more;             /* bytes beyond what the path holds */
    uint64_t waiting;          /* bytes that may be on their way if the network holds few of them */
    double rate;               /* bytes per second, the best of late; 0: unknown */
    double rtt;                /* shortest seen, seconds; 0: unknown */
    bool slow;                 /* the path was, once; what was held for that must be let go */
    uint64_t delivered;        /* bytes, all together */
    double delivered_at;       /* when the last of them was taken, and when it was sent */
    double delivered_sent;
    struct {
        uint64_t bytes, delivered;
        double sent_at, delivered_at, delivered_sent; /* of the window when this went out */
    } batches[XF_WINDOW_BATCHES];                     /* ring */
    unsigned head, nr;
};

void xf_window_init(struct xf_window *w);
/* May another batch of so many bytes go out? Always when nothing is on its way. in_network:
 * bytes that have not reached the peer's machine, or XF_WINDOW_UNKNOWN. */
bool xf_window_room(const struct xf_window *w, uint64_t bytes, uint64_t in_network);
/* Bytes of this channel that may be in the network beyond what the path holds, once that was
 * found to be slow: queued, they would make an answer wait. XF_WINDOW_ANY: it is not slow any
 * more; 0: it never was. */
#define XF_WINDOW_ANY (4u << 20)
size_t xf_window_slack(const struct xf_window *w);
/* Pages that the next push should have at most, XF_PUSH_MIN to XF_PUSH_MAX. */
unsigned xf_window_push(const struct xf_window *w);
/* A batch goes out; `now` in seconds of any steady clock. */
void xf_window_sent(struct xf_window *w, uint64_t bytes, double now);
/* The oldest batch has been taken by the peer. False: none was on its way. */
bool xf_window_taken(struct xf_window *w, double now);

#endif
