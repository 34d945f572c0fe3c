/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bulk side of COPY and SWITCH at the source: one thread per bulk channel takes
 * batches of gfns from a short queue, maps them, finds zero pages, and sends the rest
 * straight from the mapping, or compressed where that is faster.
 *
 * One thread (the one that runs the move) calls everything here.
 */
#ifndef XF_SENDER_H
#define XF_SENDER_H

#include "pages/compress_policy.h"
#include "pages/vm.h"
#include "transport/link.h"

/* Batches on their way for each channel: queued, and being sent. */
#define XF_SENDER_QUEUE 2u
#define XF_SENDER_AHEAD (XF_SENDER_QUEUE + 1)

struct xf_senders;

struct xf_sent {
    uint64_t data;          /* pages sent with their bytes */
    uint64_t zero;          /* pages sent as a mark */
    uint64_t absent;        /* gfns without a page */
    uint64_t by[XF_CODECS]; /* data pages by codec */
    uint64_t packed;        /* size of the compressed pages, bytes */
    double pack_s;          /* thread time spent on compressing, attempts included, s */
};

/* Start the threads. vm and link must outlive them. */
int xf_senders_start(struct xf_senders **out, struct xf_source_vm *vm, struct xf_link *link,
                     const struct xf_compress_opts *compress, struct xf_err *err);

/*
 * Hand over n ascending gfns (copied). `last`: these are SWITCH's pages, whose payload
 * can carry a checksum. XF_AGAIN: the queue stayed full for wait_ms, call again. -1: a
 * thread has failed; the move is over.
 */
int xf_senders_push(struct xf_senders *s, const uint64_t *gfns, unsigned n, uint32_t round,
                    bool last, int wait_ms, struct xf_err *err);

/*
 * The same, but only pages that are all zero are sent, as marks, and their bits are set in `zeros`
 * (atomically; it must stay valid until a sync is confirmed, or the threads have ended). A page
 * that is written meanwhile is in the dirty log, whether it was found zero or not.
 */
int xf_senders_push_zeros(struct xf_senders *s, const uint64_t *gfns, unsigned n,
                          unsigned long *zeros, int wait_ms, struct xf_err *err);
/* Take back the batches that no thread has begun to send: their gfns are set in `map`. */
void xf_senders_take_back(struct xf_senders *s, unsigned long *map);

/* After the last push: make every channel sync. Then wait until every page is confirmed to be in
 * the destination's memory; XF_AGAIN: not within wait_ms. */
int xf_senders_sync_begin(struct xf_senders *s, bool last, struct xf_err *err);
int xf_senders_sync_wait(struct xf_senders *s, int wait_ms, struct xf_err *err);

/*
 * halt: end the threads, whatever they are doing; the bulk channels are dead then, queued batches
 * are dropped, an unconfirmed sync never completes. go: start new threads on the link's present
 * channels (as many as before); everything is as after xf_senders_start(), except that the sums
 * continue.
 */
void xf_senders_halt(struct xf_senders *s);
int xf_senders_go(struct xf_senders *s, struct xf_err *err);

/* Sums over all threads, at any time. */
struct xf_sent xf_senders_count(struct xf_senders *s);

/* Abort the bulk channels if work is left, join the threads, free everything. NULL allowed. */
void xf_senders_stop(struct xf_senders *s);

#endif
