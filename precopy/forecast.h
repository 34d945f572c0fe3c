/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a move would take, from what is known before it or at its start: pure arithmetic, no clock
 * and no guest. It plays COPY's rounds with the same growth of the dirty log (growth.h) and the
 * same decisions (policy.h) as COPY itself.
 */
#ifndef XF_FORECAST_H
#define XF_FORECAST_H

#include "pages/mode.h"
#include "precopy/growth.h"
#include "precopy/policy.h"
#include "transport/wire.h"

struct xf_forecast_in {
    enum xf_mode mode;
    struct xf_policy policy; /* may_leave is set here */
    uint64_t memory;         /* pages of the guest */
    double zero_part;        /* fraction of them that is zero */
    double page_rate;        /* pages with content per second; 0: unknown */
    double zero_rate;        /* zero pages per second; 0: they take no time */
    double page_bytes;       /* on the wire, of a page with content */
    uint64_t bandwidth;      /* bytes of guest memory per second, 0: no limit */
    double begin_s;          /* everything before the first round */
    double round_s;          /* of a round, besides its pages: syncs, reading the log */
    double fixed_s;          /* of SWITCH, without any pages */
    double lead_s;           /* how long the log has been on when the first round begins */
    uint64_t ahead;          /* pages handed to the senders before they are sent; they are neither
                              * skipped nor left out */
    struct xf_growth growth; /* of the dirty log; no look: the guest writes nothing */
};

struct xf_forecast {
    double total_s;    /* until the destination has all pages; < 0: unknown, as all below */
    double downtime_s; /* < 0: unknown */
    double bytes;      /* on the wire */
    unsigned rounds;
    double left_out; /* pages that follow after GO */
    enum xf_switch_reason reason;
};

struct xf_forecast xf_forecast(const struct xf_forecast_in *in);

/* The cost of a codec, from a sample of the guest's pages. */
struct xf_pack_cost {
    double left;   /* fraction that compression leaves; 0: not measured, or not possible */
    double pack_s; /* seconds of one thread for a page */
};

/*
 * The pages with content per second that a link of this many bytes per second carries, compressed
 * as `asked` with `threads` threads, if one of them takes map_s for a page besides. *page_bytes:
 * what a page has on the wire then.
 */
double xf_forecast_rate(double link_bps, enum xf_compress asked,
                        const struct xf_pack_cost cost[XF_CODECS], unsigned threads, double map_s,
                        double *page_bytes);

#endif
