/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page server: PULL at the source. The guest runs at the sink; here it is suspended, and only
 * read. Requests on the urgent channel are answered at once by a thread of their own; all other
 * missing pages are pushed on the bulk channels in the order of prefetch.h, never more at once than
 * the path holds (window.h).
 *
 * A server survives lost links, and a new process can take over after the old one died: the sink
 * knows which pages it still lacks, and sends that set over every link that is attached.
 *
 * One thread calls everything here, unless said otherwise.
 */
#ifndef XF_SERVER_H
#define XF_SERVER_H

#include "postcopy/pull.h"
#include "pages/compress_policy.h"
#include "pages/vm.h"
#include "transport/link.h"

struct xf_server;

struct xf_server_opts {
    int silence_ms;   /* the link is lost when the sink sends nothing for this long; 0: never */
    bool linear;      /* push without regard to faults: for comparison */
    int quiet_ms;     /* for this long after RUNNING only answer, do not push: for tests */
    double page_rate; /* what the link carried in COPY, pages per second; 0: unknown */
    struct xf_compress_opts compress; /* of pushed pages; all 0: no compression */
};

/* Apply the test switch XENFERRY_PULL, words separated by commas, to opts, which is changed only
 * where a word says so:
 *   linear          no adaptive pre-paging
 *   no-push=N       nothing is pushed for N seconds after RUNNING (1 to 3600; no-push: 30)
 * -1 with EINVAL: unknown word. Only root's is honoured (xf_test_env()). Any thread. */
int xf_server_opts_env(struct xf_server_opts *opts, struct xf_err *err);
/* The same for words from elsewhere; NULL: none. */
int xf_server_opts_words(const char *words, struct xf_server_opts *opts, struct xf_err *err);

/* Progress; may be read by any thread at any time. */
struct xf_server_status {
    struct xf_pulled pulled; /* the sink's last report; missing is UINT64_MAX before the first */
    uint64_t left;           /* pages neither pushed nor answered */
    uint64_t pushed, answered;
    bool ended;              /* the sink has reported the guest's end */
    bool hopeless;           /* no more pages: the sink gave up, or the guest is gone here, or */
    bool resumed;            /* the guest was let run here, too: xf_server_check() */
    struct xf_cost_sum map;  /* mapping and unmapping pages here */
    struct xf_cost_sum copy; /* finding the zero pages, and sending */
    uint64_t packed;         /* of pushed: those sent compressed */
    double heard; /* last message from the sink on this link (CLOCK_MONOTONIC, seconds) */
};

/* missing (nr_gfns bits, copied): the pages that the sink lacks. NULL: xf_server_attach() learns
 * them. */
int xf_server_new(struct xf_server **out, struct xf_source_vm *vm, const unsigned long *missing,
                  const struct xf_server_opts *opts, struct xf_err *err);

/*
 * Check that the guest has not run here since its suspend. -1: it has (EBUSY; `resumed` from now
 * on, and no page is sent any more), or that cannot be determined. xf_server_run() checks on its
 * own, and before each batch is sent: this is for the time between two links.
 */
int xf_server_check(struct xf_server *s, struct xf_err *err);

/* Answer requests on this link's urgent channel from now on; call when the guest is suspended, and
 * before GO is sent. */
int xf_server_start(struct xf_server *s, struct xf_link *link, struct xf_err *err);
/* The same for a link that replaces a lost one, whose sink is in PULL already: receive the set
 * of pages it lacks, or learn that the guest has ended meanwhile, which xf_server_run() then
 * returns at once. tick as in xf_server_run(). -1 with XF_LINK or XF_PEER: another link may
 * work; XF_OURS: tick has ended it, or this side cannot continue. */
int xf_server_attach(struct xf_server *s, struct xf_link *link, struct xf_tick tick,
                     struct xf_err *err);

/* The move is off before GO: answer no more, so that the guest can be resumed here. The urgent
 * channel is dead afterwards. NULL allowed. */
void xf_server_hush(struct xf_server *s);

/*
 * Push until the sink has everything, or the guest has ended there; BYE tells the sink that this
 * side knows, before the link is closed. Call after the sink's RUNNING has arrived. tick is called
 * about ten times a second; XF_PULL_FAILED if it returns -1, or if the guest was let run here,
 * which ERROR tells the sink. Afterwards the server is stopped; after XF_PULL_LOST the link must be
 * closed and another can be attached.
 */
enum xf_pull_end xf_server_run(struct xf_server *s, struct xf_tick tick, struct xf_err *err);

void xf_server_status(struct xf_server *s, struct xf_server_status *out);

/* Stops its threads (the link's channels are dead then). NULL allowed. */
void xf_server_free(struct xf_server *s);

#endif
