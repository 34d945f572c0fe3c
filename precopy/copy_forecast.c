/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What COPY, SWITCH and PULL of a move will take, from what the first part of its first round has
 * shown: the rate, zero pages, bytes per page, growth of the dirty log. Costs nothing but a few
 * looks at the log. The report shows it beside what happened then.
 */
#include "precopy/copy_parts.h"

/* Enough is known after this time, or this part of the round, with this many looks at the log. */
#define AFTER_S 1.0
#define AFTER_PART 0.25
#define LOOKS_MIN 4u
#define PAGES_MIN 512u

void xf_copy_foresee(struct xf_copy *c, bool over)
{
    struct xf_copy_status *st = &c->status;
    double now = xf_now(), took = now - st->round_began;
    struct xf_sent sent;
    struct xf_forecast_in in;

    if (st->round != 1 || st->forecast_at != 0 || took <= 0)
        return;
    if (!over &&
        (c->growth.n < LOOKS_MIN ||
         (took < AFTER_S && (double)st->round_done < AFTER_PART * (double)st->round_pages)))
        return;
    sent = xf_senders_count(c->senders);
    if (!sent.data || (!over && sent.data < PAGES_MIN))
        return;
    in = (struct xf_forecast_in){
        .mode = c->opts.mode,
        .policy = c->opts.policy,
        .memory = c->presence.present,
        .zero_part = (double)sent.zero / (double)(sent.zero + sent.data),
        .page_rate = (double)sent.data / took, /* the zero pages took their part of the time */
        .page_bytes = (double)xf_link_bytes(c->link) / (double)sent.data,
        .round_s = 2 * c->log_read_s,
        .fixed_s = c->opts.fixed_s + c->log_read_s,
        .lead_s = st->round_began > c->cleaned ? st->round_began - c->cleaned : 0,
        .ahead = (uint64_t)c->link->nr_bulk * XF_SENDER_AHEAD * XF_BATCH_PAGES,
        .growth = c->growth,
    };
    st->forecast = xf_forecast(&in);
    st->forecast_from = st->round_began;
    st->forecast_at = now;
}
