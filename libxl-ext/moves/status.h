/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Moves seen from outside: what each one tells of itself while it runs, and what a move that
 * went on in the background has left behind about its end.
 *
 * Each side of a move listens on a Unix socket in xf_run_dir() (run_dir.h), "source-DOMID.sock" or
 * "destination-PID.sock". Who connects gets one line of JSON; a client that then sends the
 * line "postcopy" gets a second one, the answer. The serving (status_server.c) is done by a
 * thread of its own from a copy of the numbers, so that the move never waits for a client, and
 * a client not for the move. Reading (status_client.c) takes a dead process's socket away.
 *
 * What tools/ calls of it is as little a promise as libxl_ext.h.
 */
#ifndef XF_STATUS_H
#define XF_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "libxl-ext/libxl_ext.h"

/* Bytes of a line, its newline included; and moves that are looked at in one go. */
#define XF_STATUS_LINE 4096u
#define XF_STATUS_MAX 256u
#define XF_NO_DOMID UINT32_MAX
/* A number of pages or faults that is not known. */
#define XF_NO_COUNT UINT64_MAX

/* How one side of a move stands. Negative seconds and rates: not known. */
struct xf_status {
    bool source;      /* the source's side; else the destination's */
    pid_t pid;        /* who moves it */
    char version[32]; /* of Xenferry, found out when it is told; empty: not known */
    char domain[160];
    uint32_t domid; /* on this host, XF_NO_DOMID: none yet */
    char host[256]; /* the other side; empty: not known */
    enum xf_phase phase;
    unsigned round;                   /* source: 1, 2, ...; 0: none yet */
    uint64_t round_pages, round_done; /* source, in COPY */
    uint64_t pages_sent;              /* source: all rounds, with their bytes */
    uint64_t left_out;                /* pages missing at GO; 0 before */
    uint64_t missing;                 /* of these, now; 0 before GO */
    uint64_t faults, requested;       /* PULL: as in xf_report */
    double fault_median_s, fault_p99_s;
    double rate_bps; /* guest memory, bytes per second, of late */
    double eta_s;    /* end of the round in COPY, of PULL in PULL */
    double elapsed_s;
    double age_s;        /* how long ago the move said all this */
    char no_switch[240]; /* why migrate-postcopy cannot be asked; empty: it can */
};

/* How a move ended that nobody waited for. */
struct xf_ended {
    char domain[160];
    pid_t pid; /* who moved it */
    char host[256];
    enum xf_outcome outcome;
    int64_t when;           /* time(2) */
    char text[XF_ERR_TEXT]; /* what failed; empty when moved */
};

/* --- telling (status_server.c) --- */

struct xf_status_server;

/*
 * Begin to listen. id: the domain at the source, whose lock the caller holds; the process at
 * the destination. `first` as in xf_status_set(). A move goes on without this when it fails.
 */
int xf_status_open(struct xf_status_server **out, uint32_t id, const struct xf_status *first,
                   struct xf_err *err);
/* What clients are told from now on; elapsed_s is counted on, age_s found out. Any thread,
 * takes microseconds. s may be NULL. */
void xf_status_set(struct xf_status_server *s, const struct xf_status *now);
/* Has a client asked to switch to post-copy, at a time when no_switch was empty? NULL: no. */
bool xf_status_asked(struct xf_status_server *server);
/* Stop listening. NULL allowed. */
void xf_status_close(struct xf_status_server *server);

/* Remove the socket that a killed move of a domain from here left; its lock is held. */
void xf_status_forget(uint32_t domid);
/* The same of a sink that was killed; its guard calls it, so that the pid is not another one's yet.
 */
void xf_status_forget_sink(uint32_t pid);

/* Leave the end of a move behind, in "ended-PID". */
int xf_ended_write(const struct xf_ended *e, struct xf_err *err);

/* How fast PULL is, from how much is missing now and then. Start with zeros. */
struct xf_status_pace {
    double at, rate; /* rate: pages per second, 0: not known yet */
    uint64_t missing;
};
/* What is missing at `now` (xf_now()); fills missing, rate_bps and eta_s of s. */
void xf_status_pace(struct xf_status_pace *p, uint64_t missing, double now, struct xf_status *s);

/* --- asking (status_client.c) --- */

struct xf_status_list {
    unsigned nr, nr_ended, silent; /* silent: processes that live and did not answer in time */
    struct xf_status *list;        /* sources first, by number */
    struct xf_ended *ended;        /* oldest first; those of the last day */
};
/* All moves on this host. Blocks for two seconds at most for each process that does not
 * answer. Free with xf_statuses_free(), also after a failure. */
int xf_statuses(struct xf_status_list *out, struct xf_err *err);
void xf_statuses_free(struct xf_status_list *l);
/* Is this the domain that a name or number given by a person means? */
bool xf_status_is(const char *domain, uint32_t domid, const char *given);

/* Ask the move of a domain away from here to switch to post-copy at once. -1 with the reason
 * when there is none, or it cannot. */
int xf_ask_postcopy(const char *domain, struct xf_err *err);

/*
 * Does the domain, which runs here, lack pages? *missing is how many (XF_NO_COUNT: unknown),
 * host, of 256 bytes, where they are (empty: unknown).
 */
enum xf_lacks {
    XF_LACKS_NONE,   /* or there is no such domain, or nobody here can tell */
    XF_LACKS_COMING, /* they are at its source, says the move that brings them */
    XF_LACKS_NOBODY, /* Xen counts some as paged out, and no move that would bring them answers */
};
enum xf_lacks xf_lacks_pages(const char *domain, uint64_t *missing, char *host);

#endif
