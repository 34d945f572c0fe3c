/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How much pushed data may be on its way: see window.h. */
#include "postcopy/window.h"

#include <assert.h>

#include "transport/wire.h"

/* Beyond what the path holds: seconds of its rate, within bounds. More than the smallest push,
 * or the window would never allow one push more than it has seen arrive. */
#define MORE_S 0.0005
#define MORE_MIN (40u << 10)
#define MORE_MAX (64u << 10)
/* The longer a path, the more uneven: data may be late by as much as the path is long. A window
 * without room for that would lower the measured rate, and the rate would lower the window.
 * Round trips below this are processing here, not the path's length; what exceeds it is added to
 * the window, up to MORE_MAX bytes. */
#define NEAR_S 0.0005
/* On a slow path each channel may have this many seconds of its rate queued, but not less than a
 * few segments, or the path would run dry. */
#define SLACK_S 0.008
#define SLACK_MIN (28u << 10)
/* Data that may wait at the peer to be taken: seconds of its rate, within bounds. */
#define WAITING_S 0.1
#define WAITING_MIN (256u << 10)
#define WAITING_MAX (2u << 20)
/* Factor by which an old best rate decays with each newer sample. */
#define FADE 0.97

void xf_window_init(struct xf_window *w)
{
    /* Large pushes first: the round trip includes that of a batch, and with one that was too
     * short the limit would not let a second batch out. */
    *w = (struct xf_window){.more = MORE_MAX, .limit = MORE_MAX, .waiting = WAITING_MIN};
}

bool xf_window_room(const struct xf_window *w, uint64_t bytes, uint64_t in_network)
{
    if (!w->nr)
        return true;
    if (w->nr == XF_WINDOW_BATCHES)
        return false;
    /* The network may hold the limit and half a batch: one answer then makes room for two
     * batches, or the data waiting at the peer could never grow. */
    return w->in_flight + bytes <= w->limit ||
           (in_network <= w->limit /* unknown is larger */ && in_network + bytes / 2 <= w->limit &&
            w->in_flight + bytes <= w->waiting);
}

size_t xf_window_slack(const struct xf_window *w)
{
    double slack = w->rate * SLACK_S;

    return !w->slow            ? 0
           : slack < SLACK_MIN ? SLACK_MIN
           : slack < MORE_MAX  ? (size_t)slack
                               : XF_WINDOW_ANY;
}

unsigned xf_window_push(const struct xf_window *w)
{
    uint64_t pages = w->limit / 4 / XF_PAGE_SIZE;
    unsigned least = w->more < MORE_MAX ? XF_PUSH_MIN : XF_PUSH_FULL;

    return pages < least ? least : pages > XF_PUSH_MAX ? XF_PUSH_MAX : (unsigned)pages;
}

void xf_window_sent(struct xf_window *w, uint64_t bytes, double now)
{
    unsigned i = (w->head + w->nr) % XF_WINDOW_BATCHES;

    assert(w->nr < XF_WINDOW_BATCHES);
    if (!w->nr) /* the path was idle: its rate is counted from here */
        w->delivered_at = w->delivered_sent = now;
    w->batches[i].bytes = bytes;
    w->batches[i].delivered = w->delivered;
    w->batches[i].sent_at = now;
    w->batches[i].delivered_at = w->delivered_at;
    w->batches[i].delivered_sent = w->delivered_sent;
    w->nr++;
    w->in_flight += bytes;
}

/* A slow path is limited in another way (xf_window_slack), and each push costs the peer some
 * work. */
static unsigned more_of(const struct xf_window *w)
{
    double more = w->rate * MORE_S;

    return w->slow || more > MORE_MAX ? MORE_MAX : more < MORE_MIN ? MORE_MIN : (unsigned)more;
}

static unsigned uneven(const struct xf_window *w)
{
    double late = w->slow || w->rtt < NEAR_S ? 0 : w->rate * (w->rtt - NEAR_S);

    return late > MORE_MAX ? MORE_MAX : (unsigned)late;
}

bool xf_window_taken(struct xf_window *w, double now)
{
    unsigned i = w->head;
    double rtt, span, sending, rate;

    if (!w->nr)
        return false;
    w->head = (i + 1) % XF_WINDOW_BATCHES;
    w->nr--;
    assert(w->in_flight >= w->batches[i].bytes);
    w->in_flight -= w->batches[i].bytes;
    w->delivered += w->batches[i].bytes;
    w->delivered_at = now;
    w->delivered_sent = w->batches[i].sent_at;
    rtt = now - w->batches[i].sent_at;
    span = now - w->batches[i].delivered_at;
    if (rtt > 0 && (w->rtt <= 0 || rtt < w->rtt))
        w->rtt = rtt;
    /* Delayed answers arrive all at once, and no path is faster than the rate of sending. */
    sending = w->batches[i].sent_at - w->batches[i].delivered_sent;
    span = sending > span ? sending : span;
    rate = span > 0 ? (double)(w->delivered - w->batches[i].delivered) / span : 0;
    w->rate = rate > w->rate * FADE ? rate : w->rate * FADE;
    w->slow = w->slow || (w->rate > 0 && w->rate * SLACK_S < MORE_MAX);
    w->more = more_of(w);
    w->limit = (uint64_t)(w->rate * w->rtt) + uneven(w) + w->more;
    w->waiting = (uint64_t)(w->rate * WAITING_S);
    w->waiting = w->waiting < WAITING_MIN ? WAITING_MIN : w->waiting;
    w->waiting = w->waiting > WAITING_MAX ? WAITING_MAX : w->waiting;
    return true;
}
