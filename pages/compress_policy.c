/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether and how to compress: see compress_policy.h.
 *
 * The time per byte with codec c, which takes pack(c) to compress and leaves the fraction ratio(c),
 * is predicted as
 *
 *     max(other + pack(c) + ratio(c) * copy, ratio(c) * line)
 *
 * The first is the thread's compute time, the second the time on its share of the link; they
 * overlap, because the transport has buffers. `line` is measured when the thread waits for the
 * link; when it does not wait, `line` is at most what a byte took, and only a probe can tell how
 * much less: a few uncompressed batches.
 *
 * Where LZ4 leaves the processors idle and zstd the link, alternating batches of both keep both
 * busy. The prediction sets the initial proportion; then the proportion follows how long the
 * threads wait for the link, which is nearly all the information needed: zstd's share grows while
 * they wait for more than a little, and shrinks while they wait for less.
 */
#include "pages/compress_policy.h"

#include <string.h>

/* Fewest batches before a choice is judged; each thread's first still meets the buffers of the
 * previous choice. */
#define MEASURE 2u
/* To be preferred, a new choice must promise less than PROMISE of the old time, then meet KEEP. */
#define PROMISE 0.87
#define KEEP 0.97
/* ... while the old time is not known well; see `firm`. */
#define KEEP_FIRST 1.5
/* A batch whose sample keeps more than this is sent uncompressed. */
#define WORTH 0.9
/* The threads count as waiting for the link if they wait for this part of their time. */
#define BLOCKED 0.15
/* ... and zstd's share is set so that they wait for this part of it: the link is never idle. STEP:
 * how much of the difference each batch corrects. */
#define WAIT 0.05
#define STEP 0.2
/* If a byte takes this much longer than with less zstd, the sink cannot keep up. */
#define WORSE 1.15
/* Seconds until the next look: at first, and at most. A trial is short, and processors busy
 * elsewhere may have spoilt it: it is soon repeated (BAR_S). */
#define AGAIN_S 3.0
#define BAR_S 0.5
#define AGAIN_MAX_S 60.0
/* Where compressing cannot pay at any ratio, one batch in SAMPLE_EVERY is still sampled. */
#define SAMPLE_EVERY 16u
/* After UNWORTHY samples in a row that were not worth it, one batch in UNWORTHY_EVERY is. */
#define UNWORTHY 4u
#define UNWORTHY_EVERY 4u
#define BEST_RATIO 0.05
/* Fewer bytes say nothing about a rate. */
#define TELLING (64u * XF_PAGE_SIZE)
/* Weight of the newest value in an average. */
#define NEW 0.3
/* First guesses. A block is larger than a sample and compresses better; zstd's fastest level takes
 * two to three times as long as LZ4. */
#define LZ4_FACTOR 0.9
#define ZSTD_FACTOR 0.65
#define ZSTD_TIMES 2.5

static double average(double old, double value)
{
    return old > 0 ? old + NEW * (value - old) : value;
}

static bool can(const struct xf_compress_policy *p, enum xf_codec c)
{
    return p->opts.can & XF_CODEC_BIT(c);
}

static bool both(const struct xf_compress_policy *p)
{
    return can(p, XF_CODEC_LZ4) && can(p, XF_CODEC_ZSTD);
}

static unsigned measure(const struct xf_compress_policy *p)
{
    return p->threads > MEASURE ? p->threads : MEASURE;
}

static double ratio(const struct xf_compress_policy *p, enum xf_codec c)
{
    double r = p->sample * p->factor[c];

    return r < 1 ? r : 1;
}

static double computed(const struct xf_compress_policy *p, enum xf_codec c)
{
    return p->other + p->pack[c] + ratio(p, c) * p->copy;
}

/* Share of zstd batches at which zstd's excess of compute over link time equals LZ4's excess of
 * link over compute time. 0: LZ4 has no such excess; 1: zstd has none. */
static double zstd_part(const struct xf_compress_policy *p)
{
    double waits = ratio(p, XF_CODEC_LZ4) * p->line - computed(p, XF_CODEC_LZ4);
    double lags = computed(p, XF_CODEC_ZSTD) - ratio(p, XF_CODEC_ZSTD) * p->line;

    if (!both(p))
        return can(p, XF_CODEC_ZSTD);
    return waits <= 0 ? 0 : lags <= 0 ? 1 : waits / (waits + lags);
}

/* Seconds per byte at that share. */
static double predict_packed(const struct xf_compress_policy *p)
{
    double part = zstd_part(p);
    double here = part * computed(p, XF_CODEC_ZSTD) + (1 - part) * computed(p, XF_CODEC_LZ4);
    double sent = (part * ratio(p, XF_CODEC_ZSTD) + (1 - part) * ratio(p, XF_CODEC_LZ4)) * p->line;

    return here > sent ? here : sent;
}

/* ... and uncompressed. */
static double predict_plain(const struct xf_compress_policy *p)
{
    double here = p->other + p->copy;

    return here > p->line ? here : p->line;
}

/* Seconds per byte since the choice was made; 0: not known yet. */
static double took(const struct xf_compress_policy *p)
{
    return p->batches >= p->settle + measure(p) && p->bytes > 0 ? p->seconds / p->bytes : 0;
}

/* Have the threads waited for the link? */
static bool waited(const struct xf_compress_policy *p)
{
    return p->blocked_s > BLOCKED * p->seconds;
}

static void forget(struct xf_compress_policy *p, double part)
{
    p->bytes *= 1 - part;
    p->zstd *= 1 - part;
    p->wire *= 1 - part;
    p->seconds *= 1 - part;
    p->blocked_s *= 1 - part;
}

static void change(struct xf_compress_policy *p, bool packs, double now_s)
{
    p->packs = packs;
    p->choice++;
    p->settle = p->threads;
    p->batches = 0;
    forget(p, 1);
    p->marked = 0;
    p->since = now_s;
    p->trial = false;
}

static void set_part(struct xf_compress_policy *p, double part, double now_s)
{
    if (now_s >= p->more_from)
        p->most_part = 1;
    p->part = part < 0 ? 0 : part > p->most_part ? p->most_part : part;
}

static void try(struct xf_compress_policy *p, bool packs, double now_s)
{
    double before = took(p);

    if (packs)
        set_part(p, zstd_part(p), now_s);
    p->firm = p->settle > 0;
    change(p, packs, now_s);
    p->trial = true;
    p->before = before;
}

void xf_compress_init(struct xf_compress_policy *p, const struct xf_compress_opts *opts,
                      unsigned threads)
{
    memset(p, 0, sizeof(*p));
    p->opts = *opts;
    p->threads = threads;
    p->factor[XF_CODEC_LZ4] = LZ4_FACTOR;
    p->factor[XF_CODEC_ZSTD] = ZSTD_FACTOR;
    p->bar_s = BAR_S;
    p->probe_s = p->more_s = AGAIN_S;
    p->most_part = 1;
    if (opts->asked == XF_COMPRESS_LZ4)
        p->packs = can(p, XF_CODEC_LZ4);
    if (opts->asked == XF_COMPRESS_ZSTD)
        p->packs = can(p, XF_CODEC_ZSTD);
}

bool xf_compress_possible(const struct xf_compress_policy *p)
{
    if (p->opts.asked != XF_COMPRESS_AUTO)
        return p->packs;
    return can(p, XF_CODEC_LZ4) || can(p, XF_CODEC_ZSTD);
}

bool xf_compress_wants_sample(struct xf_compress_policy *p)
{
    double t = took(p);

    if (p->opts.asked != XF_COMPRESS_AUTO || !xf_compress_possible(p))
        return false;
    if (!p->packs && t > 0 && p->pack[XF_CODEC_LZ4] > 0 &&
        p->other + p->pack[XF_CODEC_LZ4] + BEST_RATIO * p->copy > PROMISE * t &&
        ++p->unsampled < SAMPLE_EVERY)
        return false;
    if (!p->packs && p->unworthy >= UNWORTHY && ++p->unsampled < UNWORTHY_EVERY)
        return false;
    p->unsampled = 0;
    return true;
}

void xf_compress_sampled(struct xf_compress_policy *p, struct xf_compress_batch *b, uint64_t bytes,
                         uint64_t packed, double cpu_s)
{
    double part = (double)packed / (double)bytes, pace = cpu_s / (double)bytes;

    b->sample = part;
    if (part > WORTH) {
        p->unworthy++;
        return; /* says nothing about batches that will be compressed */
    }
    p->unworthy = 0;
    p->sample = average(p->sample, part);
    if (!p->tried[XF_CODEC_LZ4])
        p->pack[XF_CODEC_LZ4] = average(p->pack[XF_CODEC_LZ4], pace);
    if (!p->tried[XF_CODEC_ZSTD])
        p->pack[XF_CODEC_ZSTD] = ZSTD_TIMES * p->pack[XF_CODEC_LZ4];
}

enum xf_codec xf_compress_choose(struct xf_compress_policy *p, struct xf_compress_batch *b)
{
    b->choice = p->choice;
    b->codec = XF_CODEC_NONE;
    if (!p->packs)
        return b->codec;
    if (p->opts.asked != XF_COMPRESS_AUTO)
        return b->codec = p->opts.asked == XF_COMPRESS_LZ4 ? XF_CODEC_LZ4 : XF_CODEC_ZSTD;
    if (b->sample > WORTH)
        return b->codec;
    p->turn += p->part;
    b->codec = p->turn >= 1 ? XF_CODEC_ZSTD : XF_CODEC_LZ4;
    if (b->codec == XF_CODEC_ZSTD)
        p->turn -= 1;
    return b->codec;
}

static void learn(struct xf_compress_policy *p, const struct xf_compress_batch *b)
{
    double bytes = (double)b->bytes, wire = (double)b->wire;

    p->other = average(p->other, (b->total_s - b->pack_s - b->send_s) / bytes);
    p->copy = average(p->copy, b->send_cpu_s / wire);
    if (b->codec == XF_CODEC_NONE)
        return;
    p->pack[b->codec] =
        p->tried[b->codec] ? average(p->pack[b->codec], b->pack_s / bytes) : b->pack_s / bytes;
    p->tried[b->codec] = true;
    if (b->sample > 0)
        p->factor[b->codec] = average(p->factor[b->codec], wire / bytes / b->sample);
}

static void longer(double *s)
{
    *s = 2 * *s < AGAIN_MAX_S ? 2 * *s : AGAIN_MAX_S;
}

/* No more zstd than this for a while. */
static void hold_part(struct xf_compress_policy *p, double part, double now_s)
{
    p->part = p->most_part = part;
    p->more_from = now_s + p->more_s;
    longer(&p->more_s);
}

/* The trial has been measured. */
static void judge(struct xf_compress_policy *p, double now_s)
{
    bool keep = took(p) < (p->firm ? KEEP : KEEP_FIRST) * p->before;

    p->trial = false;
    if (keep) {
        p->bar_s = BAR_S;
        p->probe_s = AGAIN_S;
        return;
    }
    if (p->packs && p->firm && p->part > 0 && both(p)) {
        hold_part(p, 0, now_s); /* LZ4 alone may do */
    } else if (p->packs && p->firm) {
        p->barred_until = now_s + p->bar_s;
        longer(&p->bar_s);
    } else if (!p->packs) {
        longer(&p->probe_s);
    }
    change(p, !p->packs, now_s);
}

/* Adjust zstd's share to how long the batch has waited for the link. */
static void balance(struct xf_compress_policy *p, const struct xf_compress_batch *b, double now_s)
{
    double part = (b->send_s - b->send_cpu_s) / b->total_s;

    if (!both(p))
        return;
    set_part(p, p->part + STEP * (part - WAIT), now_s);
}

/* A thread also waits for a slow sink; then a byte takes longer with more zstd than it did with the
 * least zstd since the choice was made. */
static void check_balance(struct xf_compress_policy *p, double now_s)
{
    double t = took(p), part = p->zstd / p->bytes;

    if (p->marked <= 0 || part <= p->marked_part || t <= p->marked) {
        p->marked = t;
        p->marked_part = part;
    } else if (waited(p) && t > WORSE * p->marked) {
        hold_part(p, p->marked_part, now_s);
        p->marked = 0;
    }
}

/* Would the other choice be better? */
static void look_around(struct xf_compress_policy *p, double now_s)
{
    double need = PROMISE * took(p);
    bool least = p->part <= 0 || !can(p, XF_CODEC_LZ4); /* zstd cannot be reduced further */

    if (p->packs) {
        if (predict_plain(p) < need || (!waited(p) && least && now_s - p->since > p->probe_s))
            try(p, false, now_s);
    } else if (p->sample > 0 && now_s >= p->barred_until && predict_packed(p) < need) {
        try(p, true, now_s);
    }
}

void xf_compress_sent(struct xf_compress_policy *p, const struct xf_compress_batch *b, double now_s)
{
    if (p->opts.asked != XF_COMPRESS_AUTO || b->bytes < TELLING || !b->wire)
        return;
    learn(p, b);
    if (b->choice != p->choice || p->packs != (b->codec != XF_CODEC_NONE))
        return;
    if (p->batches++ < p->settle)
        return;
    p->bytes += (double)b->bytes;
    p->zstd += b->codec == XF_CODEC_ZSTD ? (double)b->bytes : 0;
    p->wire += (double)b->wire;
    p->seconds += b->total_s;
    p->blocked_s += b->send_s - b->send_cpu_s;
    if (p->packs)
        balance(p, b, now_s);
    if (took(p) <= 0)
        return;
    if (!p->packs || waited(p) || p->seconds / p->wire < p->line)
        p->line = p->seconds / p->wire;
    if (p->trial)
        judge(p, now_s);
    else
        look_around(p, now_s);
    /* Only the recent past counts. */
    if (p->batches > p->settle + 4 * measure(p)) {
        if (p->packs)
            check_balance(p, now_s);
        forget(p, 0.5);
        p->batches = p->settle + measure(p);
    }
}
