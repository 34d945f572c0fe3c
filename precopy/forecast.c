/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a move would take: see forecast.h. */
#include "precopy/forecast.h"

/* A round is played in so many steps. */
#define STEPS 64
/* As COPY peeks at the log within a round (copy_round.c): pre-copy, seconds; hybrid, the part of
 * the round that has passed since the last peek, on average. */
#define PEEK_EVERY 0.5
#define PEEK_PART (1.0 / 16)
#define LOOKS 4 /* before a round is cut short */
/* After this time no set of written pages grows any more. */
#define FOREVER_S 1e9
/* What a hybrid move still sends in SWITCH: written in about this time. */
#define LAST_S 0.02
/* Of a page on the wire, besides its bytes. */
#define FRAMING 1.01

/* The course of COPY so far. */
struct course {
    const struct xf_forecast_in *in;
    struct xf_policy policy;
    double page_s;    /* of a page with content */
    double first_s;   /* of a page of the first round, where some are zero */
    double seconds;   /* since the first round began */
    double data;      /* pages with content that were sent */
    double unsent;    /* by the last round, which was cut short */
    double remaining; /* written pages that the log names */
};

static double written(const struct course *c, double t)
{
    double w = xf_growth_at(&c->in->growth, t, c->in->memory);

    return w > 0 ? w : 0;
}

/* The last moment of the round, at time t within it, whose writes COPY knows. */
static double last_peek(const struct course *c, double t)
{
    double batch_s = (double)(XF_BATCH_PAGES + c->in->ahead) * c->page_s;
    double at =
        c->policy.may_leave ? t * (1 - PEEK_PART) : (double)(uint64_t)(t / PEEK_EVERY) * PEEK_EVERY;

    return at < t - batch_s ? at : t > batch_s ? t - batch_s : 0;
}

/* One round of `todo` pages. `hits` is the part of the written pages that is among them. Pages
 * written before their turn are skipped. */
static void play_round(struct course *c, double todo, double hits, double lead, double page_s)
{
    const struct xf_forecast_in *in = c->in;
    double t = 0, sent = 0, skipped = 0;
    double content = page_s < c->page_s ? 1 - in->zero_part : 1;

    c->unsent = 0;
    for (int i = 0; i < STEPS && todo > 0; i++) {
        double known = hits * written(c, last_peek(c, t) + lead), w, turn = todo / STEPS;
        double fresh = known < todo ? turn * (1 - known / todo) : 0;
        double done = (double)(i + 1) / STEPS;
        struct xf_within now = {
            .memory = in->memory, .page_rate = 1 / page_s, .fixed_s = in->fixed_s};

        t += fresh * page_s;
        sent += fresh;
        skipped += turn - fresh;
        w = written(c, t + lead);
        now.written = w;
        now.to_send = (uint64_t)(hits * w < todo ? (todo - hits * w) * (1 - done) : 0);
        now.wasted = hits * w * done > skipped ? (uint64_t)(hits * w * done - skipped) : 0;
        now.at_end = written(c, t + lead + (double)now.to_send * page_s);
        /* Not before some looks, of which there is at most one for each batch, nor when the last
         * page was handed over. */
        if (todo * (1 - done) > (double)in->ahead && t > LOOKS * XF_BATCH_PAGES * page_s &&
            xf_policy_cut(&c->policy, &now)) {
            c->unsent = (double)now.to_send;
            break;
        }
    }
    c->data += sent * content;
    c->seconds += t + in->round_s;
    c->remaining = written(c, t + in->round_s + lead);
}

static enum xf_switch_reason play_copy(struct course *c, struct xf_round *r)
{
    const struct xf_forecast_in *in = c->in;
    double set = written(c, FOREVER_S), todo = (double)in->memory;
    enum xf_switch_reason reason;

    for (r->round = 1;; r->round++) {
        bool first = r->round == 1;
        double hits = first || set <= 0 ? 1 : todo < set ? todo / set : 1;

        play_round(c, todo, hits, first ? in->lead_s : 0, first ? c->first_s : c->page_s);
        r->remaining = (uint64_t)(c->remaining + c->unsent);
        if (c->unsent > 0)
            return XF_SWITCH_NOT_PAYING;
        r->next = xf_growth_at(&in->growth, c->remaining * c->page_s, in->memory);
        reason = xf_policy_decide(&c->policy, r);
        if (reason != XF_SWITCH_NOT_YET)
            return reason;
        todo = c->remaining;
    }
}

struct xf_forecast xf_forecast(const struct xf_forecast_in *in)
{
    struct course c = {.in = in, .policy = in->policy};
    struct xf_round r = {.fixed_s = in->fixed_s, .next = -1};
    struct xf_forecast f = {.total_s = -1, .downtime_s = -1, .bytes = -1};
    double last, pull_s = 0, limit = in->bandwidth ? XF_PAGE_SIZE / (double)in->bandwidth : 0;
    bool postcopy = in->mode == XF_MODE_POSTCOPY, leave = postcopy;

    if (in->page_rate <= 0)
        return f;
    c.policy.may_leave = in->mode == XF_MODE_HYBRID;
    c.page_s = 1 / in->page_rate;
    c.first_s = (1 - in->zero_part) * c.page_s;
    if (in->zero_rate > 0)
        c.first_s += in->zero_part / in->zero_rate;
    if (c.page_s < limit)
        c.page_s = limit;
    if (c.first_s < limit)
        c.first_s = limit;
    r.page_rate = 1 / c.page_s;
    if (postcopy) {
        f.reason = XF_SWITCH_AT_ONCE;
        c.seconds = in->zero_rate > 0 ? (double)in->memory / in->zero_rate : 0;
        c.unsent = (double)in->memory * (1 - in->zero_part);
    } else {
        f.reason = play_copy(&c, &r);
        leave = c.policy.may_leave && f.reason != XF_SWITCH_SHORT && xf_policy_worth(&c.policy, &r);
    }
    f.rounds = r.round;
    last = leave ? written(&c, LAST_S) : c.remaining + c.unsent;
    if (leave) {
        f.left_out = postcopy ? c.unsent : c.remaining + c.unsent;
        /* In the first round some of what was not sent is zero. */
        pull_s = postcopy || r.round > 1 ? f.left_out * c.page_s
                                         : c.remaining * c.page_s + c.unsent * c.first_s;
    }
    f.downtime_s = in->fixed_s + last * c.page_s;
    f.total_s = in->begin_s + c.seconds + f.downtime_s + pull_s;
    f.bytes = (c.data + last + pull_s / c.page_s) * in->page_bytes;
    return f;
}

double xf_forecast_rate(double link_bps, enum xf_compress asked,
                        const struct xf_pack_cost cost[XF_CODECS], unsigned threads, double map_s,
                        double *page_bytes)
{
    double best = 0;

    for (int i = XF_CODEC_NONE; i < XF_CODECS; i++) {
        double left = i == XF_CODEC_NONE ? 1 : cost[i].left;
        double bytes = XF_PAGE_SIZE * left * FRAMING, rate = link_bps / bytes;
        double work_s = map_s + (i == XF_CODEC_NONE ? 0 : cost[i].pack_s);
        bool wanted = asked == XF_COMPRESS_AUTO || i == XF_CODEC_NONE ||
                      (asked == XF_COMPRESS_LZ4 && i == XF_CODEC_LZ4) ||
                      (asked == XF_COMPRESS_ZSTD && i == XF_CODEC_ZSTD);

        if (left <= 0 || left >= 1.01 || !wanted)
            continue;
        if (work_s > 0 && rate > threads / work_s)
            rate = threads / work_s;
        if (rate <= best && (asked == XF_COMPRESS_AUTO || asked == XF_COMPRESS_OFF))
            continue;
        best = rate;
        *page_bytes = bytes;
    }
    return best;
}
