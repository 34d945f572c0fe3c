/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a batch is compressed, and how: pure arithmetic over what the batches before it
 * showed, without a clock, so that tests can drive it with made-up links and processors.
 *
 * The bulk sending threads of a move share one policy and tell it of every batch: with one
 * each, a thread that compresses leaves its part of the link to another, for which it then
 * never pays to compress as well. What is compared is the time that a byte of guest memory
 * takes one thread from the beginning of its batch until the transport has it. A method whose
 * time is only predicted is tried for a few batches and left again if it does not keep the
 * promise; so what the prediction does not know (a destination that unpacks slowly, processors
 * that others use) counts as well.
 *
 * No lock is in here: see packing.h.
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

/* A batch is compressed only with so many data pages: fewer teach nothing and gain nothing. */
#define XF_COMPRESS_PAGES 16u

/* One batch: how it is sent, and what that took. All 0 before it is begun. */
struct xf_compress_batch {
    enum xf_codec codec; /* as chosen, even if it gained nothing */
    unsigned choice;     /* which of the policy's choices that was */
    double sample;       /* part that LZ4 leaves of a sample of it; 0: none was taken */
    uint64_t bytes;      /* its data pages */
    uint64_t wire;       /* its payload */
    double pack_s;       /* compressing */
    double send_s;       /* within the transport */
    double send_cpu_s;   /* of that, computing and not waiting */
    double total_s;      /* all of it, mapping and zero test included */
};

struct xf_compress_policy {
    struct xf_compress_opts opts;
    unsigned threads; /* that share the policy */
    bool packs;       /* pages are compressed now, if a batch's sample is worth it */
    double part;      /* of the batches that are: by zstd instead of LZ4, 0 to 1 */
    double turn;      /* 1 or more: it is zstd's */

    /* Since that was chosen, the first batches left out. */
    unsigned choice, settle, batches;
    double bytes, zstd, wire, seconds, blocked_s; /* zstd: of bytes */
    double since;                                 /* when it was chosen */

    /* A trial: what the time per byte was before, and that it has to be beaten. The very first
     * batches find the transport's buffers empty: what they take is too little to be `firm`. */
    bool trial, firm;
    double before;

    /* What is known, seconds per byte; 0: nothing yet. */
    double pack[XF_CODECS];   /* compressing */
    double other;             /* all that is neither compressing nor the transport */
    double copy;              /* CPU of the transport, per byte that it is given */
    double line;              /* a thread's share of the link, per byte that it is given */
    double sample;            /* part that LZ4 leaves of the samples */
    double factor[XF_CODECS]; /* part that a batch keeps, in relation to its sample */
    bool tried[XF_CODECS];

    unsigned unsampled; /* batches since the last sample */
    unsigned unworthy;  /* samples in a row that were not worth it */
    /* When to compress again, to look whether the link has become faster, and to let zstd's part
     * grow beyond most_part; and after what time the next time. */
    double barred_until, bar_s, probe_s, more_from, more_s;
    double most_part, marked_part, marked; /* and what a byte took with marked_part */
};

/* threads: how many share the policy, 1 or more. */
void xf_compress_init(struct xf_compress_policy *p, const struct xf_compress_opts *opts,
                      unsigned threads);

/* Can the policy ever choose to compress? */
bool xf_compress_possible(const struct xf_compress_policy *p);

/* Before each batch of XF_COMPRESS_PAGES data pages or more: should a few pages of it be
 * compressed by LZ4 to see what that gives? Then tell what it gave, and the seconds of
 * processor time it took: so short a time would be none at all if another thread's turn fell
 * into it. */
bool xf_compress_wants_sample(struct xf_compress_policy *p);
void xf_compress_sampled(struct xf_compress_policy *p, struct xf_compress_batch *b, uint64_t bytes,
                         uint64_t packed, double cpu_s);

/* How to send that batch: b->codec. */
enum xf_codec xf_compress_choose(struct xf_compress_policy *p, struct xf_compress_batch *b);

/* After it was sent. now_s: any clock that goes forward, seconds. */
void xf_compress_sent(struct xf_compress_policy *p, const struct xf_compress_batch *b,
                      double now_s);

#endif
