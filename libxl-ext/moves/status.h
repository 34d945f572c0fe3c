/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Moves seen from outside: the status that each one publishes while it runs, and the final result
 * left behind by a move that ended in the background.
 *
 * Each side of a move listens on a Unix socket in xf_run_dir() (run_dir.h), "source-DOMID.sock" or
 * "destination-PID.sock". A client that connects receives one line of JSON; if it then sends a line
 * with a request it receives a second one, the answer. After "wait" and "cancel", if not refused, a
 * third one follows when the move has ended. The server (status_server.c) has its own
 * thread and a copy of the numbers, so that neither the move nor a client waits for the other. The
 * reader (status_client.c) removes the sockets of dead processes.
 *
 * Like libxl_ext.h, this is not a stable interface.
 */
#ifndef XF_STATUS_H
#define XF_STATUS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "libxl-ext/libxl_ext.h"

/* Bytes of a line, its newline included; and the most moves listed at once. */
#define XF_STATUS_LINE 4096u
#define XF_STATUS_MAX 256u
#define XF_NO_DOMID UINT32_MAX
/* A number of pages or faults that is not known. */
#define XF_NO_COUNT UINT64_MAX

/* The status of one side of a move. Negative seconds and rates: not known. */
struct xf_status {
    bool source;      /* the source's side; else the destination's */
    pid_t pid;        /* of the process that moves it */
    char version[32]; /* of Xenferry, filled in when published; empty: not known */
    char domain[160];
    uint32_t domid; /* on this host, XF_NO_DOMID: none yet */
    char host[256]; /* the other side; empty: not known */
    enum xf_phase phase;
    unsigned round;                   /* source: 1, 2, ...; 0: none yet */
    uint64_t round_pages, round_done; /* source, in COPY */
    uint64_t pages_sent;              /* source: all rounds, with content */
    uint64_t left_out;                /* pages missing at GO; 0 before */
    uint64_t missing;                 /* of these, now; 0 before GO */
    uint64_t faults, requested;       /* PULL: as in xf_report */
    double fault_median_s, fault_p99_s;
    double rate_bps;     /* guest memory, bytes per second, recent */
    double dirty_pps;    /* source, in COPY: pages the guest dirties, per second, recent */
    uint64_t wire_bytes; /* source: on the data connections */
    double eta_s;        /* until the end of the round in COPY, of PULL in PULL */
    double elapsed_s;
    double age_s;                   /* age of this status */
    char waits_for[160];            /* source, in CHECK: why it has not begun; empty: it has */
    struct xf_disks_progress disks; /* source; nr 0: none moves, or it is too old to say */
    char no_switch[240];            /* why migrate-postcopy is impossible; empty: it is possible */
};

/* The result of a move that ended in the background. */
struct xf_ended {
    char domain[160];
    pid_t pid; /* who moved it */
    char host[256];
    enum xf_outcome outcome;
    int64_t when;           /* time(2) */
    char text[XF_ERR_TEXT]; /* the error; empty when moved */
};

/* --- publishing (status_server.c) --- */

struct xf_status_server;

/*
 * Begin to listen. id: the domain at the source, whose lock the caller holds; the process at the
 * destination. `first` as in xf_status_set(). If this fails the move continues without it.
 */
int xf_status_open(struct xf_status_server **out, uint32_t id, const struct xf_status *first,
                   struct xf_err *err);
/* Set the status for clients; elapsed_s keeps counting, age_s is computed. Any thread, takes
 * microseconds. s may be NULL. */
void xf_status_set(struct xf_status_server *s, const struct xf_status *now);
/* Has a client asked to switch to post-copy while no_switch was empty? NULL: no. */
bool xf_status_asked(struct xf_status_server *server);
/* From now on a client may cancel the move until the phase is past SWITCH: *cancel becomes 1 if it
 * is 0. It must stay until the server is closed. s may be NULL. */
void xf_status_let_cancel(struct xf_status_server *s, volatile sig_atomic_t *cancel);
/* Stop listening. NULL allowed. */
void xf_status_close(struct xf_status_server *server);
/* The same, after telling those who wait how the move has ended. */
void xf_status_end(struct xf_status_server *s, const struct xf_ended *e);

/* Remove the socket left by a killed outgoing move of a domain, whose lock the caller holds. */
void xf_status_forget(uint32_t domid);
/* The same for a killed sink; called by its guard, while the pid cannot have been reused. */
void xf_status_forget_sink(uint32_t pid);

/* Leave the result of a move behind, in "ended-PID". */
int xf_ended_write(const struct xf_ended *e, struct xf_err *err);

/* The rate of PULL, from successive counts of missing pages. Start with zeros. */
struct xf_status_pace {
    double at, rate; /* rate: pages per second, 0: not known yet */
    uint64_t missing;
};
/* Add the count of missing pages at `now` (xf_now()); fills missing, rate_bps and eta_s of s. */
void xf_status_pace(struct xf_status_pace *p, uint64_t missing, double now, struct xf_status *s);

/* --- asking (status_client.c) --- */

struct xf_status_list {
    unsigned nr, nr_ended, silent; /* silent: living processes that did not answer in time */
    struct xf_status *list;        /* sources first, by number */
    struct xf_ended *ended;        /* of the last day, oldest first */
};
/* All moves on this host. Blocks for at most two seconds per process that does not answer. Free
 * with xf_statuses_free(), also after a failure. */
int xf_statuses(struct xf_status_list *out, struct xf_err *err);
void xf_statuses_free(struct xf_status_list *l);
/* Does this name or number, given by a person, denote this domain? */
bool xf_status_is(const char *domain, uint32_t domid, const char *given);

/* Ask the outgoing move of a domain to switch to post-copy at once. -1 with the reason when no such
 * move exists or it cannot switch. */
int xf_ask_postcopy(const char *domain, struct xf_err *err);

/*
 * Wait for the end of the outgoing move of a domain (status_wait.c), or cancel it and wait for
 * that. 0: *out says how it has ended; out->outcome is XF_PULLING if a move that was to be
 * cancelled has got beyond that. -1: there is no such move (ESRCH), it cannot be cancelled any more
 * (EPERM), or its process has died (ECONNRESET). Blocks as long as it takes.
 */
int xf_await_end(const char *domain, struct xf_ended *out, struct xf_err *err);
int xf_ask_cancel(const char *domain, struct xf_ended *out, struct xf_err *err);

/*
 * Does the domain, which runs here, lack pages? *missing is their number (XF_NO_COUNT: unknown);
 * host, of 256 bytes, is where they are (empty: unknown).
 */
enum xf_lacks {
    XF_LACKS_NONE,   /* or no such domain exists, or that is not known here */
    XF_LACKS_COMING, /* they are at its source, according to the move that brings them */
    XF_LACKS_NOBODY, /* Xen counts paged-out pages, and no move that would bring them answers */
};
enum xf_lacks xf_lacks_pages(const char *domain, uint64_t *missing, char *host);

#endif
