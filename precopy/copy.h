/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * COPY (copy.c) and SWITCH (switch.c) at the source: rounds of pages while the guest runs, then the
 * short time in which it is suspended.
 *
 * One thread calls everything here. The caller has a link with all channels open and a destination
 * that is built and waits for batches.
 */
#ifndef XF_COPY_H
#define XF_COPY_H

#include "precopy/forecast.h"
#include "precopy/growth.h"
#include "pages/mode.h"
#include "precopy/order.h"
#include "precopy/policy.h"
#include "precopy/presence.h"
#include "precopy/sender.h"
#include "pages/vm.h"
#include "transport/clock.h"
#include "transport/link.h"

struct xf_copy_opts {
    enum xf_mode mode;
    bool large; /* the destination takes WHOLE: tell it which ranges may be large pages */
    struct xf_policy policy;
    uint64_t bandwidth; /* bytes per second of page data, 0: no limit */
    double fixed_s;     /* first estimate of the time SWITCH takes without any pages */
    double switch_s;    /* limit of SWITCH beyond its pages; 0: a few seconds */
    double confirm_s;   /* interval of syncs within a round; 0: chosen from what a sync takes */
};

/* A round that has ended. If its link was lost meanwhile: the part of it over the last link. */
struct xf_copy_round {
    unsigned round;       /* 0: none yet */
    double began, took_s; /* began: CLOCK_MONOTONIC, s */
    uint64_t pages;       /* that it set out to send */
    uint64_t data, zero;  /* sent in it: with content, as marks */
    uint64_t left;        /* dirty at its end; UINT64_MAX: it was cut short, and not counted */
};

/* Progress; the caller may read it in its tick, which is called after each round. */
struct xf_copy_status {
    unsigned round;
    uint64_t round_pages, round_done;
    double round_began; /* CLOCK_MONOTONIC, s */
    double rounds_s;    /* all rounds so far; the rest of COPY is waiting for the devices */
    double page_rate;   /* recent pages per second; 0: unknown */
    double dirty_pps;
    struct xf_copy_round last;    /* the last round that has ended */
    double predicted_s;           /* < 0: unknown */
    enum xf_switch_reason reason; /* why COPY ended */
    /* Hybrid: pages are left for PULL. Not if COPY ended with so few that they add little to the
     * downtime: PULL costs the guest more. */
    bool leave;
    uint64_t whole_pages; /* in ranges that WHOLE has named; 0: it was not sent */
    uint64_t large_pages; /* of them, in large pages there. By SWITCH */
    /* Taken early in the first round, from what COPY knows then: of COPY, SWITCH and PULL. */
    struct xf_forecast forecast;
    double forecast_from; /* its total counts from here: the beginning of the first round */
    double forecast_at;   /* when, CLOCK_MONOTONIC; 0: not yet; < 0: never, the link was lost */
};

/* When SWITCH began and when it reached each step (CLOCK_MONOTONIC, seconds). */
struct xf_switch_times {
    double began, suspended, log_read, loaded, running;
    uint64_t pages;
};

struct xf_copy {
    /* The caller, before xf_copy_begin(), and then constant but for the link's channels, which
     * relink replaces; xf_copy_rounds() sets opts.policy.may_leave. */
    struct xf_source_vm *vm;
    struct xf_link *link;
    struct xf_copy_opts opts;
    struct xf_compress_opts compress; /* all 0: no compression */
    /* Called about ten times a second while the engine waits: show progress, check for a cancel
     * or a message from the peer. -1 ends the phase with its error. */
    struct xf_tick tick;
    /*
     * In COPY, and until the suspend: the link is lost (`why`), the guest runs, and no thread uses
     * the link. Close it and replace its channels by as many new ones, on which COPY continues; -1
     * ends COPY with the error. NULL: every lost link ends COPY. `confirmed` shows whether there
     * was any progress since the last loss.
     */
    int (*relink)(void *priv, const struct xf_err *why, struct xf_err *err);
    /*
     * SWITCH; both may be NULL. serve(): the state has been sent, and pages that were left out may
     * be asked for from now on, by the devices that are loaded there before GO. back(): it has
     * failed before GO, and the guest is about to be resumed here: nothing may read it any more.
     */
    int (*serve)(void *priv, struct xf_err *err);
    void (*back)(void *priv);
    /* COPY: this many bytes of page data are to be sent next, a batch at most; returns the seconds
     * until they may be, by a limit that the move shares with others. NULL: there is none. */
    double (*spend)(void *priv, uint64_t bytes);
    void *priv; /* of these, and of before_go in xf_switch() */

    /* The caller, in its tick. */
    /* Hybrid: COPY ends as soon as the pages in flight have arrived; those that the round has not
     * sent are sent after GO. Ignored in other modes. */
    bool switch_now;
    /* Changes of the guest that the destination must follow; the tick may set both until SWITCH has
     * suspended the guest. copy_follow.c clears follow_due. */
    const struct xf_follow *follow;
    bool follow_due;

    /* For the caller to read: status by the parts of COPY, times by SWITCH. */
    struct xf_copy_status status;
    struct xf_switch_times times;

    /* Begun and ended by copy.c. */
    struct xf_senders *senders;
    struct xf_presence presence; /* each sweep updates it */
    bool log_on;

    /* The pages on their way: every part, each in its turn. */
    struct xf_order order;
    unsigned long *dirty;   /* scratch: the dirty log as last read */
    unsigned long *owed;    /* this round's pages, from its beginning to its end */
    unsigned long *pending; /* those of owed that no sync has confirmed */
    bool again;             /* copy.c: this round has lost its link and continues over a new one */

    /* copy_round.c; copy.c also adds to growth, and clears cut with a lost link. */
    uint64_t confirmed;      /* pages, as xf_senders_count(), when a sync was last confirmed */
    double confirm_at;       /* when the next sync within a round is due, CLOCK_MONOTONIC */
    bool cut;                /* hybrid: this round was cut short because it did not pay */
    struct xf_growth growth; /* sizes of the dirty log since the last CLEAN, or since it is on;
                              * of pre-copy only in the first round */
    double cleaned;          /* when that was, CLOCK_MONOTONIC */
    double log_read_s;       /* duration of the last read of the dirty log */
    uint64_t tokens_pages;   /* bandwidth limit: pages handed out since tokens_began */
    double tokens_began;

    /* copy_zeros.c. */
    unsigned long *zeros; /* post-copy: found zero, and so at the destination; or NULL */

    /* copy_whole.c. */
    bool whole_told; /* the destination knows the ranges that may be large pages */

    /* copy_follow.c; copy.c begins target_kib, and clears devices_asked with a lost link. */
    double alive_at;     /* when vm->ops->alive was last called */
    uint64_t target_kib; /* last sent to the destination */
    bool devices_asked;  /* DEVICES was sent over this link */
    bool devices;        /* the destination has attached the guest's devices */

    /* leave.c. Pages left for PULL; NULL: none. Final when xf_switch() calls before_go. */
    unsigned long *missing;
    uint64_t nr_missing;
    unsigned long *due; /* to be sent, or reported, before GO, whatever the last log names */

    /* switch.c. */
    double deadline; /* when SWITCH is given up; 0 in COPY */
};

/* Prepare: workers, bitmaps, dirty log. After a failure only xf_copy_end() may be called. */
int xf_copy_begin(struct xf_copy *c, struct xf_err *err);

/* Rounds until the policy says that it is time to switch, and the destination has the guest's
 * devices. The guest runs throughout. */
int xf_copy_rounds(struct xf_copy *c, struct xf_err *err);

/* How xf_switch() ended. */
enum xf_switch_end {
    XF_SWITCHED,       /* the guest runs at the destination */
    XF_SWITCH_BACK,    /* failed before GO: the guest was resumed here, or never stopped */
    XF_SWITCH_STUCK,   /* failed before GO, and the guest could not be resumed here */
    XF_SWITCH_UNKNOWN, /* GO was sent, but no answer arrived */
};

/*
 * Leave pages for PULL as the mode allows, suspend, send the last pages and the state, GO.
 * before_go (may be NULL) is called when everything is in place at the destination; if it returns
 * -1 the guest is resumed here. Fills c->times.
 */
enum xf_switch_end xf_switch(struct xf_copy *c, int (*before_go)(void *priv, struct xf_err *err),
                             struct xf_err *err);

/*
 * The end of xf_switch(), for a move that suspends the guest and transfers it by other means: all
 * of it is in place at the destination and the guest is suspended here. before_go as above. Sets
 * c->times.running; besides it uses only c->vm, link, tick, priv, missing and nr_missing.
 */
enum xf_switch_end xf_switch_go(struct xf_copy *c, int (*before_go)(void *priv, struct xf_err *err),
                                struct xf_err *err);
/* The move has failed with err before GO: resume the guest here if it is suspended. */
enum xf_switch_end xf_switch_back(struct xf_copy *c, struct xf_err *err);

/* After the switch: stop the workers, which frees the bulk channels for PULL. Fast, unlike
 * stopping the dirty log, for which PULL and the guest would have to wait. Idempotent. */
void xf_copy_free_bulk(struct xf_copy *c);

/* Stop the workers and the dirty log, free everything. Idempotent. */
void xf_copy_end(struct xf_copy *c);

/* Called by every wait of the source: the caller's tick and, about ten times a second until
 * SWITCH begins, a check that the guest still exists. priv is the xf_copy. */
int xf_copy_tick(void *priv, struct xf_err *err);

#endif
