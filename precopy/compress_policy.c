/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether and how to compress: see compress_policy.h.
 *
 * The time of a byte by method c, which takes pack(c) to compress and leaves the part
 * ratio(c), is predicted as
 *
 *     max(other + pack(c) + ratio(c) * copy, ratio(c) * line)
 *
 * The first is what the thread computes, the second what its share of the link takes; they
 * overlap, because the transport has buffers. `line` is seen when the thread waits for the
 * link; when it does not wait, `line` is no more than what a byte took, and how much less
 * only a probe can tell: a few batches as they are.
 *
 * Where LZ4 leaves the processors idle and zstd the link, batches of both in turns keep both at
 * work, in the proportion in which neither waits for the other.
 */
#include "precopy/compress_policy.h"

#include <math.h>
#include <string.h>

/* Batches until a method is judged: the first one still meets the buffers of the one before. */
#define SETTLE 1u
#define MEASURE 2u
/* A method must promise so much, and then keep so much, to be preferred. */
#define PROMISE 0.87
#define KEEP 0.97
/* A batch whose sample keeps more than this is sent as it is. */
#define WORTH 0.9
/* The thread waits for the link if it does so for this part of its time. */
#define BLOCKED 0.15
/* How soon to look again, seconds: at first, and at most. */
#define AGAIN_S 3.0
#define AGAIN_MAX_S 60.0
/* Where compressing cannot pay whatever it gives, every so many-th batch is still sampled. */
#define SAMPLE_EVERY 16u
/* After so many samples in a row that were not worth it one batch in four is. */
#define UNWORTHY 4u
#define UNWORTHY_EVERY 4u
#define BEST_RATIO 0.05
/* Fewer bytes say nothing about a rate. */
#define TELLING (64u * XF_PAGE_SIZE)
/* Weight of the newest value in an average. */
#define NEW 0.3
/* First guesses. A block is larger than a sample and keeps less of itself; zstd's fastest
 * level takes two to three times as long as LZ4. */
#define LZ4_FACTOR 0.9
#define ZSTD_FACTOR 0.65
#define ZSTD_TIMES 2.5

static double average(double old, double value)
{
    return old > 0 ? old + NEW * (value - old) : value;
}

static bool can(const struct xf_compress_policy *p, unsigned method)
{
    unsigned both = XF_CODEC_BIT(XF_CODEC_LZ4) | XF_CODEC_BIT(XF_CODEC_ZSTD);

    if (method == XF_METHOD_TURNS)
        return (p->opts.can & both) == both;
    return method == XF_CODEC_NONE || (p->opts.can & XF_CODEC_BIT(method));
}

/* Is a batch by this codec one of the method that is in use? */
static bool in_use(const struct xf_compress_policy *p, enum xf_codec c)
{
    return p->now == (unsigned)c || (p->now == XF_METHOD_TURNS && c != XF_CODEC_NONE);
}

static double ratio(const struct xf_compress_policy *p, enum xf_codec c)
{
    double r = c == XF_CODEC_NONE ? 1 : p->sample * p->factor[c];

    return r < 1 ? r : 1;
}

static double computed(const struct xf_compress_policy *p, enum xf_codec c)
{
    return p->other + p->pack[c] + ratio(p, c) * p->copy;
}

/* The part of batches by zstd with which what it computes longer than the link takes is what the
 * others, by LZ4, send longer than they compute. 0: it does, with none; 1: with all. */
static double zstd_part(const struct xf_compress_policy *p)
{
    double waits = ratio(p, XF_CODEC_LZ4) * p->line - computed(p, XF_CODEC_LZ4);
    double lags = computed(p, XF_CODEC_ZSTD) - ratio(p, XF_CODEC_ZSTD) * p->line;

    return waits <= 0 ? 0 : lags <= 0 ? 1 : waits / (waits + lags);
}

static double predict_turns(const struct xf_compress_policy *p)
{
    double part = zstd_part(p);

    if (part <= 0 || part >= 1)
        return HUGE_VAL; /* one codec does it */
    return part * computed(p, XF_CODEC_ZSTD) + (1 - part) * computed(p, XF_CODEC_LZ4);
}

static double predict(const struct xf_compress_policy *p, unsigned method)
{
    double here, sent;

    if (method == XF_METHOD_TURNS)
        return predict_turns(p);
    here = computed(p, (enum xf_codec)method);
    sent = ratio(p, (enum xf_codec)method) * p->line;
    return here > sent ? here : sent;
}

/* What a byte has taken since the method was chosen; 0: not known yet. */
static double took(const struct xf_compress_policy *p)
{
    return p->batches >= SETTLE + MEASURE && p->bytes > 0 ? p->seconds / p->bytes : 0;
}

static void change(struct xf_compress_policy *p, unsigned method, double now_s)
{
    p->now = method;
    p->batches = 0;
    p->bytes = p->seconds = p->blocked_s = 0;
    p->since = now_s;
    p->trial = false;
}

static void try(struct xf_compress_policy *p, unsigned method, double now_s)
{
    double before = took(p);
    unsigned from = p->now;

    change(p, method, now_s);
    p->trial = true;
    p->from = from;
    p->before = before;
}

void xf_compress_init(struct xf_compress_policy *p, const struct xf_compress_opts *opts)
{
    memset(p, 0, sizeof(*p));
    p->opts = *opts;
    p->factor[XF_CODEC_LZ4] = LZ4_FACTOR;
    p->factor[XF_CODEC_ZSTD] = ZSTD_FACTOR;
    p->probe_s = AGAIN_S;
    for (unsigned i = 0; i < XF_METHODS; i++)
        p->bar_s[i] = AGAIN_S;
    if (opts->asked == XF_COMPRESS_LZ4 && can(p, XF_CODEC_LZ4))
        p->now = XF_CODEC_LZ4;
    if (opts->asked == XF_COMPRESS_ZSTD && can(p, XF_CODEC_ZSTD))
        p->now = XF_CODEC_ZSTD;
}

bool xf_compress_possible(const struct xf_compress_policy *p)
{
    if (p->opts.asked != XF_COMPRESS_AUTO)
        return p->now != XF_CODEC_NONE;
    return can(p, XF_CODEC_LZ4) || can(p, XF_CODEC_ZSTD);
}

bool xf_compress_wants_sample(struct xf_compress_policy *p)
{
    double t = took(p);

    p->batch_sample = 0;
    if (p->opts.asked != XF_COMPRESS_AUTO || !xf_compress_possible(p))
        return false;
    if (p->now == XF_CODEC_NONE && t > 0 && p->pack[XF_CODEC_LZ4] > 0 &&
        p->other + p->pack[XF_CODEC_LZ4] + BEST_RATIO * p->copy > PROMISE * t &&
        ++p->unsampled < SAMPLE_EVERY)
        return false;
    if (p->now == XF_CODEC_NONE && p->unworthy >= UNWORTHY && ++p->unsampled < UNWORTHY_EVERY)
        return false;
    p->unsampled = 0;
    return true;
}

void xf_compress_sampled(struct xf_compress_policy *p, uint64_t bytes, uint64_t packed,
                         double seconds)
{
    double part = (double)packed / (double)bytes, pace = seconds / (double)bytes;

    p->batch_sample = part;
    if (part > WORTH) {
        p->unworthy++;
        return; /* says nothing of those that will be compressed */
    }
    p->unworthy = 0;
    p->sample = average(p->sample, part);
    if (!p->tried[XF_CODEC_LZ4])
        p->pack[XF_CODEC_LZ4] = average(p->pack[XF_CODEC_LZ4], pace);
    if (!p->tried[XF_CODEC_ZSTD])
        p->pack[XF_CODEC_ZSTD] = ZSTD_TIMES * p->pack[XF_CODEC_LZ4];
}

enum xf_codec xf_compress_choose(const struct xf_compress_policy *p)
{
    if (p->opts.asked == XF_COMPRESS_AUTO && p->batch_sample > WORTH)
        return XF_CODEC_NONE;
    if (p->now == XF_METHOD_TURNS)
        return p->turn >= 1 ? XF_CODEC_ZSTD : XF_CODEC_LZ4;
    return (enum xf_codec)p->now;
}

static void learn(struct xf_compress_policy *p, const struct xf_compress_batch *b)
{
    double bytes = (double)b->bytes, wire = (double)b->wire;
    double blocked = b->send_s - b->send_cpu_s, per_wire = b->total_s / wire;
    bool settled = in_use(p, b->codec) && p->batches >= SETTLE;

    p->other = average(p->other, (b->total_s - b->pack_s - b->send_s) / bytes);
    p->copy = average(p->copy, b->send_cpu_s / wire);
    if (b->codec != XF_CODEC_NONE) {
        p->pack[b->codec] =
            p->tried[b->codec] ? average(p->pack[b->codec], b->pack_s / bytes) : b->pack_s / bytes;
        p->tried[b->codec] = true;
        if (p->batch_sample > 0) {
            double f = wire / bytes / p->batch_sample;

            p->factor[b->codec] = average(p->factor[b->codec], f);
        }
    }
    if (!settled)
        return;
    if (b->codec == XF_CODEC_NONE || blocked > BLOCKED * b->total_s || per_wire < p->line)
        p->line = average(p->line, per_wire);
}

/* Is there a method that promises enough? */
static void look_around(struct xf_compress_policy *p, double now_s)
{
    unsigned best = p->now;
    double least = PROMISE * took(p);

    if (p->sample <= 0)
        return;
    for (unsigned i = 0; i < XF_METHODS; i++) {
        if (p->now == i || !can(p, i) || now_s < p->barred_until[i] || predict(p, i) >= least)
            continue;
        best = i;
        least = predict(p, i);
    }
    if (best != p->now)
        try(p, best, now_s);
}

static void longer(double *s)
{
    *s = 2 * *s < AGAIN_MAX_S ? 2 * *s : AGAIN_MAX_S;
}

/* The trial has been measured. */
static void judge(struct xf_compress_policy *p, double now_s)
{
    bool probe = p->now == XF_CODEC_NONE;

    p->trial = false;
    if (took(p) < KEEP * p->before) {
        p->bar_s[p->now] = AGAIN_S;
        if (probe)
            p->probe_s = AGAIN_S;
        return;
    }
    if (probe) {
        longer(&p->probe_s);
    } else {
        p->barred_until[p->now] = now_s + p->bar_s[p->now];
        longer(&p->bar_s[p->now]);
    }
    change(p, p->from, now_s);
}

void xf_compress_sent(struct xf_compress_policy *p, const struct xf_compress_batch *b, double now_s)
{
    if (p->opts.asked != XF_COMPRESS_AUTO || b->bytes < TELLING || !b->wire)
        return;
    learn(p, b);
    if (!in_use(p, b->codec))
        return;
    if (p->turn >= 1)
        p->turn -= 1;
    p->turn += zstd_part(p);
    if (p->batches++ >= SETTLE) {
        p->bytes += (double)b->bytes;
        p->seconds += b->total_s;
        p->blocked_s += b->send_s - b->send_cpu_s;
    }
    if (took(p) <= 0)
        return;
    if (p->now == XF_CODEC_NONE)
        p->line = took(p);
    if (p->trial)
        judge(p, now_s);
    else if (p->now != XF_CODEC_NONE && p->blocked_s < BLOCKED * p->seconds &&
             now_s - p->since > p->probe_s)
        try(p, XF_CODEC_NONE, now_s);
    else
        look_around(p, now_s);
    /* The recent past counts. */
    if (p->batches > 4 * MEASURE) {
        p->bytes /= 2;
        p->seconds /= 2;
        p->blocked_s /= 2;
        p->batches = SETTLE + MEASURE;
    }
}
