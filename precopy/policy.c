/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When COPY ends: see policy.h. */
#include "precopy/policy.h"

const char *xf_switch_reason_text(enum xf_switch_reason r)
{
    switch (r) {
    case XF_SWITCH_NOT_YET:
        return "not yet";
    case XF_SWITCH_SHORT:
        return "predicted downtime within the limit";
    case XF_SWITCH_ROUNDS:
        return "round limit reached";
    case XF_SWITCH_NOT_PAYING:
        return "rounds no longer pay";
    case XF_SWITCH_AT_ONCE:
        return "post-copy without a copy phase";
    case XF_SWITCH_ASKED:
        return "asked for by migrate-postcopy";
    }
    return "?";
}

double xf_policy_predict(const struct xf_round *r)
{
    if (r->remaining == 0)
        return r->fixed_s;
    if (r->page_rate <= 0)
        return -1;
    return r->fixed_s + (double)r->remaining / r->page_rate;
}

/* Would the downtime for `left` pages be within the limit? */
static bool is_short(const struct xf_policy *p, double left, double page_rate, double fixed_s)
{
    return page_rate > 0 && fixed_s + left / page_rate <= p->max_downtime_s;
}

/* One more round would send all pages that remain now, and leave r->next, the same or others. */
static bool pays(const struct xf_round *r)
{
    double left = (double)r->remaining;

    return left - r->next >= XF_PAYING_PART * left;
}

static bool next_pays(const struct xf_policy *p, const struct xf_round *r)
{
    if (!p->may_leave || r->next < 0)
        return true; /* nothing is known against it */
    return is_short(p, r->next, r->page_rate, r->fixed_s) || pays(r);
}

bool xf_policy_worth(const struct xf_policy *p, const struct xf_round *r)
{
    double least = r->fixed_s > p->max_downtime_s ? r->fixed_s : p->max_downtime_s;

    return r->page_rate <= 0 || (double)r->remaining / r->page_rate > XF_LEAVE_PART * least;
}

bool xf_policy_cut(const struct xf_policy *p, const struct xf_within *w)
{
    double fresh = w->at_end - w->written; /* newly written by the end of the round */

    if (!p->may_leave || w->at_end < 0 || (double)w->wasted < XF_WASTE_PART * (double)w->memory)
        return false;
    if (is_short(p, w->at_end, w->page_rate, w->fixed_s))
        return false;
    /* Missing pages: to_send + written now, at_end when the round ends. */
    return (double)w->to_send - fresh < XF_PAYING_PART * (double)w->to_send;
}

/* The switch would be short already. Would a round that takes no longer than it shorten it? */
static bool shortens(const struct xf_policy *p, const struct xf_round *r)
{
    double least = r->fixed_s > XF_SHORT_S ? r->fixed_s : XF_SHORT_S;

    return r->round < p->max_rounds && r->page_rate > 0 && r->next >= 0 &&
           (double)r->remaining / r->page_rate > least && pays(r);
}

enum xf_switch_reason xf_policy_decide(struct xf_policy *p, const struct xf_round *r)
{
    double down = xf_policy_predict(r);
    /* Round 1 sends everything; its remainder is the first to compare with. */
    bool poor = r->round > 1 && (double)r->remaining > XF_POOR_PART * (double)p->last_remaining;

    p->last_remaining = r->remaining;

    if (down >= 0 && down <= p->max_downtime_s)
        return poor || !shortens(p, r) ? XF_SWITCH_SHORT : XF_SWITCH_NOT_YET;
    if (r->round >= p->max_rounds)
        return XF_SWITCH_ROUNDS;
    if (poor || !next_pays(p, r))
        return XF_SWITCH_NOT_PAYING;
    return XF_SWITCH_NOT_YET;
}
