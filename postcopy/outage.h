/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long PULL was without its link, as its source sees it: from the last word that was heard
 * until somebody answers there again (outage), and from then until the sink has more pages than
 * it had (recovery). When the network itself came back nobody here can know; an answer comes
 * within a few seconds of that. One thread.
 */
#ifndef XF_OUTAGE_H
#define XF_OUTAGE_H

#include <stdbool.h>
#include <stdint.h>

struct xf_outage {
    /* of all outages that are over */
    unsigned nr;
    double away_s, longest_s; /* sum; longest */
    double recovery_s;        /* longest */
    /* of the one that is not; CLOCK_MONOTONIC, seconds */
    bool on;
    double since;
    double answered;  /* 0: nobody has */
    uint64_t missing; /* pages that the sink lacked then; UINT64_MAX: it has not said */
};

/* The link is lost; the sink was heard last at `heard`. Also when that happens before pages flow
 * over the link that came after another loss: the outage goes on. */
void xf_outage_lost(struct xf_outage *o, double heard);
/* An attempt to connect: has the sink's side answered? */
void xf_outage_tried(struct xf_outage *o, bool answered);
/* There is a link, and the sink lacks so many pages. */
void xf_outage_again(struct xf_outage *o, uint64_t missing);
/* The sink lacks so many pages by now. True if that ends the outage. */
bool xf_outage_told(struct xf_outage *o, uint64_t missing);

#endif
