/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When COPY ends: pure arithmetic over what the rounds showed, no clock and no guest, so
 * that every decision can be tested.
 */
#ifndef XF_POLICY_H
#define XF_POLICY_H

#include <stdbool.h>
#include <stdint.h>

struct xf_policy {
    double max_downtime_s;
    unsigned max_rounds;
    /* Kept from round to round by xf_policy_decide(). Zero at the start. */
    uint64_t last_remaining;
};

/* What one finished round showed. */
struct xf_round {
    unsigned round;     /* 1, 2, ... */
    uint64_t remaining; /* pages that would have to be sent in SWITCH now */
    double page_rate;   /* pages per second that SWITCH may count on; 0: unknown */
    double fixed_s;     /* what SWITCH costs with no page at all: suspend, log, state, GO */
};

enum xf_switch_reason {
    XF_SWITCH_NOT_YET,
    XF_SWITCH_SHORT,      /* the predicted downtime is within the limit */
    XF_SWITCH_ROUNDS,     /* as many rounds as were allowed */
    XF_SWITCH_NOT_PAYING, /* the rounds no longer make the remainder smaller */
    XF_SWITCH_AT_ONCE,    /* post-copy: there was no COPY */
    XF_SWITCH_ASKED,      /* somebody did not want to wait (xf_copy.switch_now) */
};
const char *xf_switch_reason_text(enum xf_switch_reason r);

/* A round is poor when it leaves more than this part of what the one before left. The first
 * poor round ends COPY: what one more would bring is a matter of luck, and it costs the guest
 * and the wire as much as the one before. */
#define XF_POOR_PART 0.9

/* The downtime if the switch began now; negative when no rate is known. */
double xf_policy_predict(const struct xf_round *r);

enum xf_switch_reason xf_policy_decide(struct xf_policy *p, const struct xf_round *r);

#endif
