/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The scheduler of a drain: events in, actions out. It starts nothing, knows no clock and allocates
 * nothing: its caller runs a process for each guest that it is told to start, and reports how that
 * ended. The same for the plan (--check), where a start is a question, and for --undo.
 *
 * The highest rank goes first. A guest that a host refuses is offered to the others; one that is
 * refused for memory alone is offered again when another guest has left. No end of one guest stops
 * another.
 *
 * One thread.
 */
#ifndef XF_SCHED_H
#define XF_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#define XF_DRAIN_HOSTS_MAX 32u
#define XF_DRAIN_LIMIT_MAX 64u

enum xf_drain_state {
    XF_DRAIN_TODO,
    XF_DRAIN_GOING,     /* started, and not ended */
    XF_DRAIN_ELSEWHERE, /* another process moves it: neither started nor ended by the caller */
    XF_DRAIN_NO_MEMORY, /* no host has memory for it; until another guest has left */
    /* These are final. */
    XF_DRAIN_LEFT,
    XF_DRAIN_REFUSED, /* by every host */
    XF_DRAIN_STAYED,  /* its move failed; it runs here */
    XF_DRAIN_STUCK,   /* its move failed; somebody has to act */
    XF_DRAIN_OUT,     /* nothing to be moved */
};

struct xf_drain_guest {
    /* The caller's, before the first xf_drain_next(). */
    uint64_t rank;
    uint64_t need_kib; /* at its destination; 0: not known */
    uint32_t may;      /* hosts that it may go to, bit by bit */
    /* The caller's at first, and when a guest that had left is here again; else the scheduler's. */
    enum xf_drain_state state;
    /* The scheduler's; readable. */
    unsigned host;       /* of the last start */
    unsigned starts;     /* how often it was started */
    uint32_t refused;    /* hosts that refused it */
    uint32_t lacks;      /* hosts that had no memory for it when last asked */
    unsigned departed;   /* xf_drain.departed at its last start */
    uint64_t booked_kib; /* taken from its host's free_kib */
};

struct xf_drain_host {
    bool known;        /* free_kib is */
    uint64_t free_kib; /* what is free there, less what guests on their way will take */
    unsigned given;    /* guests that have left for it, or are on their way */
};

struct xf_drain {
    unsigned limit;               /* guests on their way at once */
    struct xf_drain_guest *guest; /* the caller's; may be moved by it between calls */
    unsigned nr_guests;
    struct xf_drain_host host[XF_DRAIN_HOSTS_MAX];
    unsigned nr_hosts;
    unsigned departed;   /* guests that have left */
    unsigned interrupts; /* xf_drain_interrupt() so far */
};

enum xf_drain_action {
    XF_DRAIN_START, /* guest *guest to host *host, which from now on is GOING */
    XF_DRAIN_WAIT,  /* for the end of one that is GOING or ELSEWHERE */
    XF_DRAIN_DONE,  /* nothing is on its way, and nothing is left to be started */
};
/* What to do now; to be called until it is not START. */
enum xf_drain_action xf_drain_next(struct xf_drain *d, unsigned *guest, unsigned *host);

/* How a guest that was GOING ended. */
enum xf_drain_end {
    XF_DRAIN_END_LEFT,
    XF_DRAIN_END_REFUSED, /* by that host, for something that will not change soon */
    XF_DRAIN_END_MEMORY,  /* by that host, for memory alone */
    XF_DRAIN_END_BUSY,    /* another process moves it */
    XF_DRAIN_END_AGAIN,   /* another domain now, after a reboot: to be started anew */
    XF_DRAIN_END_STAYED,
    XF_DRAIN_END_STUCK,
    XF_DRAIN_END_OUT, /* it has ended */
};
/* A guest that is GOING, or ELSEWHERE, has ended so. One that was started XF_DRAIN_STARTS times is
 * not started again for BUSY or AGAIN: it counts as STAYED. */
#define XF_DRAIN_STARTS 3u
void xf_drain_ended(struct xf_drain *d, unsigned guest, enum xf_drain_end end);

/* A request to end: nothing is started any more. Returns true from the second one on: what is GOING
 * is to be cancelled. */
bool xf_drain_interrupt(struct xf_drain *d);

/* How many guests are in this state. */
unsigned xf_drain_count(const struct xf_drain *d, enum xf_drain_state state);

#endif
