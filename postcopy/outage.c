/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How long PULL was without its link: see outage.h. */
#include "postcopy/outage.h"

#include "transport/clock.h"

void xf_outage_lost(struct xf_outage *o, double heard)
{
    if (!o->on)
        o->since = heard;
    o->on = true;
    o->answered = 0;
    o->missing = UINT64_MAX;
}

void xf_outage_tried(struct xf_outage *o, bool answered)
{
    if (!answered)
        o->answered = 0;
    else if (o->answered <= 0)
        o->answered = xf_now();
}

void xf_outage_again(struct xf_outage *o, uint64_t missing)
{
    o->missing = missing;
}

bool xf_outage_told(struct xf_outage *o, uint64_t missing)
{
    double away, recovery;

    if (!o->on || o->missing == UINT64_MAX || (missing && missing >= o->missing))
        return false;
    away = o->answered - o->since;
    recovery = xf_now() - o->answered;
    o->nr++;
    o->away_s += away;
    if (away > o->longest_s)
        o->longest_s = away;
    if (recovery > o->recovery_s)
        o->recovery_s = recovery;
    o->on = false;
    return true;
}
