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
    /* Pages left by COPY may be sent after GO. So COPY need not converge, and a page that it
     * sends in vain is a loss: it has to be sent again in PULL. */
    bool may_leave;
    /* Kept from round to round by xf_policy_decide(). Zero at the start. */
    uint64_t last_remaining;
};

/* Figures of one finished round. */
struct xf_round {
    unsigned round;     /* 1, 2, ... */
    uint64_t remaining; /* pages that would have to be sent in SWITCH now */
    double page_rate;   /* pages per second that SWITCH may count on; 0: unknown */
    double fixed_s;     /* time SWITCH takes without any pages: suspend, log, state, GO */
    double next;        /* estimate of the pages that one more round would leave; < 0: unknown */
};

/* A moment within a round. */
struct xf_within {
    uint64_t memory;  /* pages of the guest */
    uint64_t to_send; /* of this round: pages neither sent nor written again */
    uint64_t wasted;  /* pages sent in this round and written since */
    double written;   /* pages that the log names now */
    double at_end;    /* pages that it will name when the round ends; < 0: unknown */
    double page_rate; /* pages per second of this round so far */
    double fixed_s;   /* as in xf_round */
};

enum xf_switch_reason {
    XF_SWITCH_NOT_YET,
    XF_SWITCH_SHORT,      /* the predicted downtime is within the limit, and another round would
                             not shorten it by much */
    XF_SWITCH_ROUNDS,     /* as many rounds as were allowed */
    XF_SWITCH_NOT_PAYING, /* the rounds no longer make the remainder smaller */
    XF_SWITCH_AT_ONCE,    /* post-copy: there was no COPY */
    XF_SWITCH_ASKED,      /* the switch was asked for (xf_copy.switch_now) */
};
const char *xf_switch_reason_text(enum xf_switch_reason r);

/* A round is poor when it leaves more than this fraction of what the previous one left. The
 * first poor round ends COPY: whether one more would help is a matter of luck, and it costs the
 * guest and the network as much as the one before. */
#define XF_POOR_PART 0.9

/* If pages may be left: a round pays if it reduces the number of missing pages by at least this
 * fraction of the pages it sends. A round that just pays sends half of its pages in vain, and
 * halves the rest. */
#define XF_PAYING_PART 0.5
/* A round is not cut short before this fraction of the guest's memory was sent in vain: the
 * first looks at the log tell little about the later ones, and until then little is lost. */
#define XF_WASTE_PART (1.0 / 128)

/* Once the predicted downtime is within the limit, COPY continues only while a round pays in
 * that sense and sending its pages takes longer than SWITCH does without any, and longer than
 * this. Such a round never takes longer than the allowed downtime. */
#define XF_SHORT_S 0.001

/* Pages that would add less than this fraction to the allowed downtime, or to the fixed cost of
 * SWITCH if that is higher, are not left for PULL: it takes the guest's network away for a
 * while, and the guest waits for each page. */
#define XF_LEAVE_PART 0.1

/* The downtime if the switch began now; negative when no rate is known. */
double xf_policy_predict(const struct xf_round *r);

enum xf_switch_reason xf_policy_decide(struct xf_policy *p, const struct xf_round *r);

/* COPY has ended with r, and not with a short downtime ahead: would leaving the remaining pages
 * for PULL shorten the downtime enough to be worth it? */
bool xf_policy_worth(const struct xf_policy *p, const struct xf_round *r);

/* Should the current round be cut short because the rest of it does not pay? Never if pages may
 * not be left, or if the downtime predicted for its end is within the limit. */
bool xf_policy_cut(const struct xf_policy *p, const struct xf_within *w);

#endif
