/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long PULL was without its link, as seen by the source: from the last message received until
 * the sink's side answers again (outage), and from then until the sink has more pages than before
 * (recovery). When the network itself recovered is not known here; an answer arrives within a few
 * seconds of that. One thread.
 */
#ifndef XF_OUTAGE_H
#define XF_OUTAGE_H

#include <stdbool.h>
#include <stdint.h>

struct xf_outage {
    /* of all finished outages */
    unsigned nr;
    double away_s, longest_s; /* sum; longest */
    double recovery_s;        /* longest */
    /* of the current one; CLOCK_MONOTONIC, seconds */
    bool on;
    double since;
    double answered;  /* 0: not yet */
    uint64_t missing; /* pages that the sink lacked when attached again; UINT64_MAX: unknown */
};

/* The link is lost; the sink's last message arrived at `heard`. If a replacement link is lost
 * before pages flow over it, the outage continues. */
void xf_outage_lost(struct xf_outage *o, double heard);
/* An attempt to connect: has the sink's side answered? */
void xf_outage_tried(struct xf_outage *o, bool answered);
/* There is a new link, and the sink lacks `missing` pages. */
void xf_outage_again(struct xf_outage *o, uint64_t missing);
/* The sink now lacks `missing` pages. True if that ends the outage. */
bool xf_outage_told(struct xf_outage *o, uint64_t missing);

#endif
