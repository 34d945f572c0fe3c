/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page server: PULL at the source. The guest runs at the sink; here it lies suspended, and
 * is only read. What the sink asks for on the urgent channel is answered at once by a thread
 * of its own; all other missing pages are pushed on the bulk channels in the order that
 * prefetch.h finds, never more at once than the path holds (window.h).
 *
 * A server lives through lost links, and a new process can take over after the old one died:
 * the sink knows best what it still needs, and says so to every link that is attached.
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
    int silence_ms;   /* a sink that says nothing for so long is lost; 0: never */
    bool linear;      /* push without regard to the faults: for comparison */
    int quiet_ms;     /* for so long after RUNNING nothing is pushed, only answered: for tests */
    double page_rate; /* what the link carried in COPY, pages per second; 0: unknown */
    struct xf_compress_opts compress; /* of what is pushed; all 0: nothing is compressed */
};

/* The test switch XENFERRY_PULL, words with commas between them, into opts, which is changed
 * only where a word says so:
 *   linear          no adaptive pre-paging
 *   no-push=N       nothing is pushed for N seconds after RUNNING (1 to 3600; no-push: 30)
 * -1 with EINVAL: it holds another word. Only root's is taken (xf_test_env()). Any thread. */
int xf_server_opts_env(struct xf_server_opts *opts, struct xf_err *err);
/* The same of words from elsewhere; NULL: none. */
int xf_server_opts_words(const char *words, struct xf_server_opts *opts, struct xf_err *err);

/* How far it is; may be read by any thread at any time. */
struct xf_server_status {
    struct xf_pulled pulled; /* as the sink said last; missing is UINT64_MAX before */
    uint64_t left;           /* pages neither pushed nor answered */
    uint64_t pushed, answered;
    bool ended; /* the sink has said that the guest is no more */
    bool
        hopeless; /* no page comes any more: the sink has given up, or the guest here is gone, or */
    bool resumed; /* ... somebody has let it run here, too: xf_server_check() */
    struct xf_cost_sum map;  /* mapping pages here, and taking the mapping away again */
    struct xf_cost_sum copy; /* finding the zero pages, and sending */
    uint64_t packed;         /* of pushed: those that went compressed */
    double heard;            /* the sink, last on this link (CLOCK_MONOTONIC, seconds) */
};

/* missing (nr_gfns bits, copied): what the sink lacks. NULL: xf_server_attach() will tell. */
int xf_server_new(struct xf_server **out, struct xf_source_vm *vm, const unsigned long *missing,
                  const struct xf_server_opts *opts, struct xf_err *err);

/*
 * Has nobody let the guest run here since its suspend? -1: somebody has (EBUSY; `resumed` from now
 * on, and no page is sent any more), or it cannot be found out. xf_server_run() asks by itself, and
 * before each batch goes out: this is for the time between two links.
 */
int xf_server_check(struct xf_server *s, struct xf_err *err);

/* Answer requests on this link's urgent channel from now on; for before GO is sent. */
int xf_server_start(struct xf_server *s, struct xf_link *link, struct xf_err *err);
/* The same for a link that replaces a lost one, whose sink is in PULL already: learn from it
 * what it lacks, or that the guest has ended meanwhile, which xf_server_run() then returns at
 * once. tick as in xf_server_run(). -1 with XF_LINK or XF_PEER: another link may do; XF_OURS: tick
 * has ended it, or this side cannot go on. */
int xf_server_attach(struct xf_server *s, struct xf_link *link, struct xf_tick tick,
                     struct xf_err *err);

/*
 * Push until the sink has everything, or the guest has ended there; the sink hears that this
 * side knows (BYE) before the link goes. The sink's RUNNING has been heard. tick is called some
 * ten times a second; -1 from it: XF_PULL_FAILED. As well when the guest was let run here: the
 * sink is told by ERROR then. After this the server is stopped; after
 * XF_PULL_LOST the link must be closed and another can be attached.
 */
enum xf_pull_end xf_server_run(struct xf_server *s, struct xf_tick tick, struct xf_err *err);

void xf_server_status(struct xf_server *s, struct xf_server_status *out);

/* Stops its threads (the link's channels are dead then). NULL allowed. */
void xf_server_free(struct xf_server *s);

#endif
