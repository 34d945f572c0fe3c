/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The source's side of COPY (copy.c) and SWITCH (switch.c): rounds of pages while the
 * guest runs, then the short time in which it does not.
 *
 * One thread calls everything here. The caller has a link with all channels open and a
 * destination that is built and waits for batches.
 */
#ifndef XF_COPY_H
#define XF_COPY_H

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
    struct xf_policy policy;
    uint64_t bandwidth; /* bytes per second of page data, 0: no limit */
    double fixed_s;     /* first guess of what SWITCH costs without any page */
    double confirm_s;   /* within a round: what was sent is confirmed so often; 0: as it pays */
};

/* How far things are; the caller may read it in its tick. */
struct xf_copy_status {
    unsigned round;
    uint64_t round_pages, round_done;
    double round_began; /* CLOCK_MONOTONIC, s */
    double rounds_s;    /* all rounds so far; the rest of COPY waits for the devices */
    double page_rate;   /* pages per second of the recent past, 0: unknown */
    double dirty_pps;
    double predicted_s;           /* < 0: unknown */
    enum xf_switch_reason reason; /* why COPY ended */
    /* Hybrid: pages are left for PULL. Not if COPY ended with so few that they matter less to the
     * downtime than what it has in it anyway: PULL costs the guest more. */
    bool leave;
};

/* What SWITCH took, seconds, and when it began (CLOCK_MONOTONIC). */
struct xf_switch_times {
    double began, suspended, log_read, loaded, running;
    uint64_t pages;
};

struct xf_copy {
    struct xf_source_vm *vm;
    struct xf_link *link;
    struct xf_copy_opts opts;
    struct xf_compress_opts compress; /* before xf_copy_begin(); all 0: nothing is compressed */
    /* Called some ten times a second while the engine waits: show progress, look for a
     * cancel or a word from the peer. -1 ends the phase with its error. */
    struct xf_tick tick;
    /* Hybrid: tick may set it in COPY, which then ends as soon as what is on its way has
     * arrived; what the round has not sent comes after GO. Means nothing in other modes. */
    bool switch_now;
    /*
     * COPY, and until the suspend: the link is lost (`why`), the guest runs, and nobody is inside
     * the link. Close it and put new channels in its place, as many as before, on which COPY goes
     * on; -1 ends it with its error. NULL: every loss does. `confirmed` says whether there was
     * any progress since the last one.
     */
    int (*relink)(void *priv, const struct xf_err *why, struct xf_err *err);
    void *priv; /* of relink, and of before_go in xf_switch() */

    struct xf_copy_status status;
    struct xf_switch_times times;
    struct xf_senders *senders;
    struct xf_order order;
    struct xf_presence presence;
    unsigned long *dirty;    /* scratch: what the log said last */
    unsigned long *owed;     /* this round's, from its begin to its end */
    unsigned long *pending;  /* of these, what no sync has confirmed */
    unsigned long *zeros;    /* post-copy: zero when looked at, and so at the destination. NULL */
    uint64_t confirmed;      /* pages, as xf_senders_count(), when a sync was confirmed last */
    double confirm_at;       /* when the next one within a round is due, CLOCK_MONOTONIC */
    bool again;              /* this round has lost its link and goes on over another one */
    bool cut;                /* hybrid: this round was ended early, for it did not pay */
    struct xf_growth growth; /* hybrid: what the log has said since it was last cleaned */
    double cleaned;          /* ... which was then, CLOCK_MONOTONIC */
    /* Pages left for PULL (leave.c); NULL: none are. Settled when xf_switch() calls before_go. */
    unsigned long *missing;
    uint64_t nr_missing;
    unsigned long *due; /* of SWITCH, whatever the last log says: to be sent, or told, before GO */
    /* What the destination is to follow: tick may set both, until SWITCH has suspended the guest.
     */
    const struct xf_follow *follow;
    bool follow_due;
    double alive_at; /* when vm->ops->alive was asked last */
    bool log_on;
    uint64_t target_kib;   /* last told to the destination */
    bool devices_asked;    /* whether it has its devices was asked, over this link */
    bool devices;          /* the destination has attached the guest's devices */
    double log_read_s;     /* what reading the dirty log took last */
    double deadline;       /* SWITCH: when it is given up; 0 in COPY */
    uint64_t tokens_pages; /* bandwidth limit: pages handed out since tokens_began */
    double tokens_began;
};

/* Prepare: workers, bitmaps, dirty log. After a failure only xf_copy_end() may be called. */
int xf_copy_begin(struct xf_copy *c, struct xf_err *err);

/* Rounds until the policy says that it is time to switch, and the destination has the guest's
 * devices. The guest runs throughout. */
int xf_copy_rounds(struct xf_copy *c, struct xf_err *err);

/* What became of xf_switch(). */
enum xf_switch_end {
    XF_SWITCHED,       /* runs at the destination */
    XF_SWITCH_BACK,    /* failed before GO: the guest was resumed here, or never stopped */
    XF_SWITCH_STUCK,   /* failed before GO, and it could not be resumed either */
    XF_SWITCH_UNKNOWN, /* GO was sent, and no answer came */
};

/*
 * Leave out for PULL what the mode allows, suspend, last pages, state, GO. before_go (may be NULL)
 * is called when everything is in place at the destination; -1 from it goes back. Fills c->times.
 */
enum xf_switch_end xf_switch(struct xf_copy *c, int (*before_go)(void *priv, struct xf_err *err),
                             struct xf_err *err);

/* After the switch: stop the workers, so that the bulk channels are free for PULL. Quick, where
 * stopping the log may take a while, for which PULL would wait with the guest. Idempotent. */
void xf_copy_free_bulk(struct xf_copy *c);

/* Stop the workers and the dirty log, free everything. Idempotent. */
void xf_copy_end(struct xf_copy *c);

/* Will SWITCH leave pages for PULL, as things stand? */
bool xf_copy_leaves(const struct xf_copy *c);
/* For switch.c. Before the suspend: choose the pages to leave out (c->missing) and have the
 * destination mark them absent. */
int xf_copy_leave(struct xf_copy *c, struct xf_err *err);
/* The guest is suspended and order.todo holds what the last log says: add what must not be
 * left out, and take all of it out of c->missing. Nothing stays missing in a hybrid move that
 * nobody asked to switch if that is little (xf_policy_worth(), policy.h). */
void xf_copy_settle(struct xf_copy *c);

/* For copy.c and switch.c: queue all pages that order holds. */
int xf_copy_send_order(struct xf_copy *c, bool last, struct xf_err *err);
/* What every wait of the source calls: the caller's tick, and until SWITCH begins the question
 * whether the guest is still there, some ten times a second. priv is the xf_copy. */
int xf_copy_tick(void *priv, struct xf_err *err);
/* Tell the destination what it has to follow, if that is due and the control channel is free. */
int xf_copy_follow(struct xf_copy *c, struct xf_err *err);
/* Is the deadline over? Then -1 and the error says so. */
int xf_copy_late(struct xf_copy *c, struct xf_err *err);
/* Something failed with err while the guest runs. 0: it was the link, and there is another one
 * now; what no sync has confirmed has to be sent again. -1: no, or there is none. */
int xf_copy_change_link(struct xf_copy *c, struct xf_err *err);

#endif
