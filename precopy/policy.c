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
        return "post-copy without a copy before";
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

enum xf_switch_reason xf_policy_decide(struct xf_policy *p, const struct xf_round *r)
{
    double down = xf_policy_predict(r);
    /* Round 1 sends everything; what it leaves is the first remainder to compare with. */
    bool poor = r->round > 1 && (double)r->remaining > XF_POOR_PART * (double)p->last_remaining;

    p->last_remaining = r->remaining;

    if (down >= 0 && down <= p->max_downtime_s)
        return XF_SWITCH_SHORT;
    if (r->round >= p->max_rounds)
        return XF_SWITCH_ROUNDS;
    if (poor)
        return XF_SWITCH_NOT_PAYING;
    return XF_SWITCH_NOT_YET;
}
