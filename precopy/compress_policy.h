/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a batch is compressed, and how: pure arithmetic over what the batches before it
 * showed, without a clock, so that tests can drive it with made-up links and processors.
 *
 * Each bulk sending thread has a policy of its own and tells it of every batch. What it
 * compares is the time that a byte of guest memory takes from the beginning of its batch
 * until the transport has it. A method whose time is only predicted is tried for a few
 * batches and left again if it does not keep the promise; so what the prediction does not
 * know (a destination that unpacks slowly, processors that others use) counts as well.
 */
#ifndef XF_COMPRESS_POLICY_H
#define XF_COMPRESS_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "precopy/mode.h"
#include "transport/wire.h"

struct xf_compress_opts {
    enum xf_compress asked;
    unsigned can; /* XF_CODEC_BIT()s of what the destination can unpack; 0: nothing */
};

/* A batch is compressed only with so many data pages: fewer teach nothing and gain nothing. */
#define XF_COMPRESS_PAGES 16u

/* What sending one batch took. */
struct xf_compress_batch {
    enum xf_codec codec; /* as chosen, even if it gained nothing */
    uint64_t bytes;      /* its data pages */
    uint64_t wire;       /* its payload */
    double pack_s;       /* compressing */
    double send_s;       /* within the transport */
    double send_cpu_s;   /* of that, computing and not waiting */
    double total_s;      /* all of it, mapping and zero test included */
};

/* Ways to send batches: each codec, and LZ4 and zstd in turns. */
enum { XF_METHOD_TURNS = XF_CODECS, XF_METHODS };

struct xf_compress_policy {
    struct xf_compress_opts opts;
    unsigned now; /* a method */

    /* Since `now` was chosen, the first batch left out. */
    unsigned batches;
    double bytes, seconds, blocked_s;
    double since; /* when it was chosen */

    /* A trial: what the time per byte was by `from`, and that it has to be beaten. */
    bool trial;
    unsigned from;
    double before;

    /* What is known, seconds per byte; 0: nothing yet. */
    double pack[XF_CODECS];   /* compressing */
    double other;             /* all that is neither compressing nor the transport */
    double copy;              /* CPU of the transport, per byte that it is given */
    double line;              /* this thread's share of the link, per byte that it is given */
    double sample;            /* part that LZ4 leaves of the samples */
    double factor[XF_CODECS]; /* part that a batch keeps, in relation to its sample */
    bool tried[XF_CODECS];

    double turn;         /* 1 or more: it is zstd's */
    double batch_sample; /* of the next batch; 0: none was taken */
    unsigned unsampled;  /* batches since the last sample */
    unsigned unworthy;   /* samples in a row that were not worth it */
    double barred_until[XF_METHODS], bar_s[XF_METHODS];
    double probe_s;
};

void xf_compress_init(struct xf_compress_policy *p, const struct xf_compress_opts *opts);

/* Can the policy ever choose to compress? */
bool xf_compress_possible(const struct xf_compress_policy *p);

/* Before each batch of XF_COMPRESS_PAGES data pages or more: should a few pages of it be
 * compressed by LZ4 to see what that gives? Then tell what it gave and took. */
bool xf_compress_wants_sample(struct xf_compress_policy *p);
void xf_compress_sampled(struct xf_compress_policy *p, uint64_t bytes, uint64_t packed,
                         double seconds);

/* How to send that batch. */
enum xf_codec xf_compress_choose(const struct xf_compress_policy *p);

/* After it was sent. now_s: any clock that goes forward, seconds. */
void xf_compress_sent(struct xf_compress_policy *p, const struct xf_compress_batch *b,
                      double now_s);

#endif
