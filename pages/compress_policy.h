/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decides whether and how a batch is compressed: pure arithmetic over measurements of earlier
 * batches, without a clock, so that tests can drive it with made-up links and processors.
 *
 * The bulk sending threads of a move share one policy and report every batch to it: with a policy
 * each, a thread that compresses leaves its share of the link to another, for which compressing
 * then never pays. The policy compares the time that a byte of guest memory takes one thread from
 * the beginning of its batch until the transport has it. A method whose time is only predicted is
 * tried for a few batches and dropped if it misses the prediction; so factors unknown to the
 * prediction (a destination that unpacks slowly, processors that others use) count as well.
 *
 * Takes no lock: see packing.h.
 */
#ifndef XF_COMPRESS_POLICY_H
#define XF_COMPRESS_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "pages/mode.h"
#include "transport/wire.h"

struct xf_compress_opts {
    enum xf_compress asked;
    unsigned can; /* XF_CODEC_BIT()s of what the destination can unpack; 0: nothing */
};

/* Fewest data pages of a batch that is compressed: fewer teach nothing and gain nothing. */
#define XF_COMPRESS_PAGES 16u

/* One batch: how it is sent, and what that cost. All 0 before it begins. */
struct xf_compress_batch {
    enum xf_codec codec; /* as chosen, even if it gained nothing */
    unsigned choice;     /* which of the policy's choices that was */
    double sample;       /* fraction that LZ4 leaves of a sample of it; 0: no sample */
    uint64_t bytes;      /* its data pages */
    uint64_t wire;       /* its payload */
    double pack_s;       /* compressing */
    double send_s;       /* within the transport */
    double send_cpu_s;   /* of that, computing rather than waiting */
    double total_s;      /* all of it, mapping and zero test included */
};

struct xf_compress_policy {
    struct xf_compress_opts opts;
    unsigned threads; /* that share the policy */
    bool packs;       /* pages are compressed now, if a batch's sample is worth it */
    double part;      /* share of compressed batches by zstd instead of LZ4, 0 to 1 */
    double turn;      /* at 1 or more it is zstd's */

    /* Totals since that was chosen, without the first batches. */
    unsigned choice, settle, batches;
    double bytes, zstd, wire, seconds, blocked_s; /* zstd: those of `bytes` by zstd */
    double since;                                 /* when it was chosen */

    /* A trial: the time per byte before, which it has to beat. The very first batches find the
     * transport's buffers empty: their time is too short to be `firm`. */
    bool trial, firm;
    double before;

    /* What is known, seconds per byte; 0: nothing yet. */
    double pack[XF_CODECS];   /* compressing */
    double other;             /* everything but compressing and the transport */
    double copy;              /* CPU of the transport, per byte that it is given */
    double line;              /* a thread's share of the link, per byte that it is given */
    double sample;            /* fraction that LZ4 leaves of the samples */
    double factor[XF_CODECS]; /* fraction that a batch keeps, relative to its sample */
    bool tried[XF_CODECS];

    unsigned unsampled; /* batches since the last sample */
    unsigned unworthy;  /* samples in a row that were not worth it */
    /* When to compress again, to check whether the link has become faster, and to let zstd's share
     * grow beyond most_part; and the delay until the next time. */
    double barred_until, bar_s, probe_s, more_from, more_s;
    double most_part, marked_part, marked; /* marked: time per byte with marked_part */
};

/* threads: how many share the policy, 1 or more. */
void xf_compress_init(struct xf_compress_policy *p, const struct xf_compress_opts *opts,
                      unsigned threads);

/* Can the policy ever choose to compress? */
bool xf_compress_possible(const struct xf_compress_policy *p);

/* Before each batch of XF_COMPRESS_PAGES data pages or more: should a few of its pages be
 * compressed by LZ4 as a sample? Then report the result and the seconds of processor time: elapsed
 * time this short would be worthless if another thread ran meanwhile. */
bool xf_compress_wants_sample(struct xf_compress_policy *p);
void xf_compress_sampled(struct xf_compress_policy *p, struct xf_compress_batch *b, uint64_t bytes,
                         uint64_t packed, double cpu_s);

/* How to send that batch: b->codec. */
enum xf_codec xf_compress_choose(struct xf_compress_policy *p, struct xf_compress_batch *b);

/* Call after it was sent. now_s: seconds on any monotonic clock. */
void xf_compress_sent(struct xf_compress_policy *p, const struct xf_compress_batch *b,
                      double now_s);

#endif
