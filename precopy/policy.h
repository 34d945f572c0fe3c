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
    /* What COPY leaves may come after GO. So COPY need not come to an end by itself, and what it
     * sends in vain is a loss: the same page has to be sent again in PULL. */
    bool may_leave;
    /* Kept from round to round by xf_policy_decide(). Zero at the start. */
    uint64_t last_remaining;
};

/* What one finished round showed. */
struct xf_round {
    unsigned round;     /* 1, 2, ... */
    uint64_t remaining; /* pages that would have to be sent in SWITCH now */
    double page_rate;   /* pages per second that SWITCH may count on; 0: unknown */
    double fixed_s;     /* what SWITCH costs with no page at all: suspend, log, state, GO */
    double next;        /* pages that one more round would leave, by all that is known; < 0:
                           nothing is */
};

/* A moment within a round. */
struct xf_within {
    uint64_t memory;  /* pages of the guest */
    uint64_t to_send; /* of this round: neither sent nor written again */
    uint64_t wasted;  /* sent in this round, and written since */
    double written;   /* pages that the log names now */
    double at_end;    /* ... and that it will when the round is through; < 0: unknown */
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
    XF_SWITCH_ASKED,      /* somebody did not want to wait (xf_copy.switch_now) */
};
const char *xf_switch_reason_text(enum xf_switch_reason r);

/* A round is poor when it leaves more than this part of what the one before left. The first
 * poor round ends COPY: what one more would bring is a matter of luck, and it costs the guest
 * and the wire as much as the one before. */
#define XF_POOR_PART 0.9

/* If pages may be left: a round pays if it makes what is missing smaller by at least this part
 * of what it sends. One that just does sends half of its pages in vain, and halves the rest. */
#define XF_PAYING_PART 0.5
/* A round is not cut short before so much of the guest's memory was sent in vain: the first
 * looks at the log say little about the later ones, and until then nothing much is lost. */
#define XF_WASTE_PART (1.0 / 128)

/* Within the limit on the downtime COPY goes on as long as a round pays in that sense and the pages
 * it sends would cost the guest more than SWITCH does without any, or than this. Such a round is
 * never longer than the downtime that is allowed. */
#define XF_SHORT_S 0.001

/* Pages that would add less than this part to what the downtime may be, or has to be, are not
 * left for PULL: it takes the guest's network away for a while, and each page makes it wait. */
#define XF_LEAVE_PART 0.1

/* The downtime if the switch began now; negative when no rate is known. */
double xf_policy_predict(const struct xf_round *r);

enum xf_switch_reason xf_policy_decide(struct xf_policy *p, const struct xf_round *r);

/* COPY has ended with r, and not with a short downtime ahead: would leaving what remains for PULL
 * make the downtime so much shorter that it is worth it? */
bool xf_policy_worth(const struct xf_policy *p, const struct xf_round *r);

/* Shall the round that is under way be cut short, because what is left of it does not pay? Never
 * if pages may not be left, nor if its end promises a downtime within the limit. */
bool xf_policy_cut(const struct xf_policy *p, const struct xf_within *w);

#endif
