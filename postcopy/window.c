/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How much pushed data may be on its way: see window.h. */
#include "postcopy/window.h"

#define MORE (64u << 10)   /* beyond what the path holds */
#define FIRST (256u << 10) /* until something is known of the path */
/* What an old best rate counts less with each newer sample. */
#define FADE 0.97

void xf_window_init(struct xf_window *w)
{
    *w = (struct xf_window){.limit = FIRST};
}

bool xf_window_room(const struct xf_window *w, uint64_t bytes)
{
    return !w->nr || (w->nr < XF_WINDOW_BATCHES && w->in_flight + bytes <= w->limit);
}

void xf_window_sent(struct xf_window *w, uint64_t bytes, double now)
{
    unsigned i = (w->head + w->nr) % XF_WINDOW_BATCHES;

    if (!w->nr) /* the path was idle: its rate is counted from here */
        w->delivered_at = now;
    w->batches[i].bytes = bytes;
    w->batches[i].delivered = w->delivered;
    w->batches[i].sent_at = now;
    w->batches[i].delivered_at = w->delivered_at;
    w->nr++;
    w->in_flight += bytes;
}

bool xf_window_taken(struct xf_window *w, double now)
{
    unsigned i = w->head;
    double rtt, span, rate;

    if (!w->nr)
        return false;
    w->head = (i + 1) % XF_WINDOW_BATCHES;
    w->nr--;
    w->in_flight -= w->batches[i].bytes;
    w->delivered += w->batches[i].bytes;
    w->delivered_at = now;
    rtt = now - w->batches[i].sent_at;
    span = now - w->batches[i].delivered_at;
    if (rtt > 0 && (w->rtt <= 0 || rtt < w->rtt))
        w->rtt = rtt;
    rate = span > 0 ? (double)(w->delivered - w->batches[i].delivered) / span : 0;
    w->rate = rate > w->rate * FADE ? rate : w->rate * FADE;
    w->limit = (uint64_t)(w->rate * w->rtt) + MORE;
    return true;
}
