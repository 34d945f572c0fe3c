/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target for measuring a link (transport/speed.c): the sink before a source that says
 * whatever it likes, or the source before such a sink.
 *
 * Beyond "no crash": a peer that breaks the protocol is refused, one that keeps to it is not; every
 * question is answered once; nothing is sent that is no part of a measurement.
 *
 * The input: a byte of OPT_..., then for each message of the peer a byte each of channel, type,
 * meta part's length and, of sizes[], payload. Each channel has its messages when it waits for one;
 * the peer hangs up when they are used up.
 */
#include <errno.h>
#include <math.h>

#include "tests/fuzz/puppet.h"
#include "tests/fuzz/target.h"
#include "transport/speed.h"

enum { MEASURED, SOURCE_REFUSES, SERVED, SINK_REFUSES, CANCELLED };

#define OPT_SOURCE 1u /* the source is ours */
#define OPT_TWO 2u    /* bulk channels, not one */
#define OPT_CANCEL 4u /* after as many looks as the bits above say */
#define MESSAGES 32u
#define PROBE_MAX (1u << 20) /* docs/wire-protocol.md */
#define PONGS 5u
#define STAGES 3u

static const uint32_t sizes[] = {0, 1, 4096, PROBE_MAX, PROBE_MAX + 1, XF_PAYLOAD_MAX};

static struct {
    struct puppet puppet;
    struct xf_link link;
    bool source;
    unsigned bulk, nr, ticks;
    uint8_t chan[MESSAGES];
    struct xf_msg msg[MESSAGES];
    /* Under the puppet's lock. */
    unsigned next[PUPPET_CHANNELS], answers[PUPPET_CHANNELS], questions[PUPPET_CHANNELS];
} fuzz; /* big, and a fuzzer has one input at a time */

/* The index of the first message of a channel from i on; fuzz.nr: none. */
static unsigned message(unsigned chan, unsigned i)
{
    while (i < fuzz.nr && fuzz.chan[i] != chan)
        i++;
    return i;
}

/* Does it keep to the protocol? The meta part of PING and PONG is ignored. */
static bool good(unsigned chan, const struct xf_msg *m)
{
    if (!chan)
        return m->type == (fuzz.source ? XF_MSG_PONG : XF_MSG_PING) && !m->payload_len;
    return m->type == (fuzz.source ? XF_MSG_PROBE_ACK : XF_MSG_PROBE) && !m->meta_len &&
           m->payload_len <= (fuzz.source ? 0 : PROBE_MAX);
}

/* How many of a channel's messages are good, up to the first that is not. */
static unsigned nr_good(unsigned chan, bool *all)
{
    unsigned n = 0, i = message(chan, 0);

    for (; i < fuzz.nr && good(chan, &fuzz.msg[i]); i = message(chan, i + 1))
        n++;
    *all = i == fuzz.nr;
    return n;
}

/* --- the peer --- */

static enum puppet_next fuzz_next(struct puppet *p, unsigned chan, struct xf_msg *m, uint8_t *meta)
{
    unsigned i = message(chan, fuzz.next[chan]);

    if (i == fuzz.nr) {
        if (fuzz.source)
            return PUPPET_END;
        /* The source closes the link when everything else was taken. */
        for (unsigned c = 0; c <= fuzz.bulk; c++)
            if (chan || message(c, fuzz.next[c]) < fuzz.nr)
                return PUPPET_NOTHING;
        return puppet_at_rest(p) ? PUPPET_END : PUPPET_NOTHING;
    }
    fuzz.next[chan] = i + 1;
    *m = fuzz.msg[i];
    memset(meta, 0x77, m->meta_len);
    fuzz.questions[chan] += !fuzz.source && good(chan, m) && !m->payload_len;
    return PUPPET_MESSAGE;
}

static void fuzz_sent(struct puppet *p, unsigned chan, const struct xf_msg *m, const uint8_t *meta)
{
    (void)p, (void)meta;
    MUST(chan <= fuzz.bulk && !m->meta_len);
    if (fuzz.source) {
        MUST(m->type == (chan ? XF_MSG_PROBE : XF_MSG_PING));
        MUST(m->payload_len <= (chan ? PROBE_MAX : 0));
        return;
    }
    MUST(m->type == (chan ? XF_MSG_PROBE_ACK : XF_MSG_PONG) && !m->payload_len);
    MUST(++fuzz.answers[chan] <= fuzz.questions[chan]);
}

static const struct puppet_ops puppet_ops = {.next = fuzz_next, .sent = fuzz_sent};

/* --- ours --- */

static int fuzz_tick(void *priv, struct xf_err *err)
{
    (void)priv;
    return fuzz.ticks-- ? 0 : xf_fail(err, ECANCELED, "interrupted");
}

static void measure(struct xf_tick tick)
{
    struct xf_speed s;
    struct xf_err err = {0};
    bool may, must, all;
    int rc = xf_speed_measure(&fuzz.link, tick, &s, &err);

    may = must = nr_good(0, &all) >= PONGS;
    for (unsigned c = 1; c <= fuzz.bulk; c++) {
        may &= nr_good(c, &all) >= 1;
        must &= nr_good(c, &all) >= STAGES;
    }
    if (rc) {
        MUST(rc == -1 && err.num && err.text[0] && (!must || tick.call));
        fuzz_reached(tick.call ? CANCELLED : SOURCE_REFUSES);
        return;
    }
    MUST(may && isfinite(s.bytes_per_s) && s.bytes_per_s > 0 && s.bytes > 0);
    MUST(s.round_trip_s >= 0 && s.round_trip_s <= 10);
    fuzz_reached(MEASURED);
}

static void serve(struct xf_tick tick)
{
    struct xf_err err = {0};
    bool all, good_peer = true;
    int rc = xf_speed_serve(&fuzz.link, 600000, tick, &err);

    for (unsigned c = 0; c <= fuzz.bulk; c++) {
        nr_good(c, &all);
        good_peer &= all;
    }
    if (rc) {
        MUST(rc == -1 && err.num && err.text[0] && (!good_peer || tick.call));
        fuzz_reached(tick.call ? CANCELLED : SINK_REFUSES);
        return;
    }
    MUST(good_peer && !err.num);
    for (unsigned c = 0; c <= fuzz.bulk; c++)
        MUST(fuzz.answers[c] == fuzz.questions[c]);
    fuzz_reached(SERVED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct xf_tick tick = {0};

    if (!size)
        return 0;
    if (!fuzz.puppet.ops)
        puppet_init(&fuzz.puppet, &puppet_ops, NULL);
    fuzz.source = data[0] & OPT_SOURCE;
    fuzz.bulk = data[0] & OPT_TWO ? 2 : 1;
    fuzz.ticks = data[0] >> 3;
    if (data[0] & OPT_CANCEL)
        tick.call = fuzz_tick;
    fuzz.nr = 0;
    for (const uint8_t *at = data + 1; data + size - at >= 4 && fuzz.nr < MESSAGES; at += 4) {
        fuzz.chan[fuzz.nr] = (uint8_t)(at[0] % (fuzz.bulk + 1));
        fuzz.msg[fuzz.nr++] =
            (struct xf_msg){.type = at[1],
                            .meta_len = at[2],
                            .payload_len = sizes[at[3] % (sizeof(sizes) / sizeof(sizes[0]))]};
    }
    memset(fuzz.next, 0, sizeof(fuzz.next));
    memset(fuzz.answers, 0, sizeof(fuzz.answers));
    memset(fuzz.questions, 0, sizeof(fuzz.questions));
    puppet_connect(&fuzz.puppet, &fuzz.link, fuzz.bulk);
    if (fuzz.source)
        measure(tick);
    else
        serve(tick);
    xf_link_close(&fuzz.link);
    return 0;
}

/* --- seeds --- */

static uint8_t *say(uint8_t *out, uint8_t chan, uint8_t type, uint8_t size)
{
    memcpy(out, (uint8_t[4]){chan, type, 0, size}, 4);
    return out + 4;
}

static size_t fuzz_seed(int n, uint8_t out[FUZZ_INPUT_MAX])
{
    uint8_t *at = out + 1;

    out[0] = n < 3 ? OPT_TWO | OPT_SOURCE : OPT_TWO;
    switch (n) {
    case 0: /* a sink that answers */
    case 1: /* and one that ends too early */
    case 2: /* and is not waited for */
        for (unsigned i = 0; i < PONGS; i++)
            at = say(at, 0, XF_MSG_PONG, 0);
        for (unsigned i = 0; i < (n == 1 ? STAGES - 1 : STAGES); i++)
            at = say(say(at, 1, XF_MSG_PROBE_ACK, 0), 2, XF_MSG_PROBE_ACK, 0);
        if (n == 2)
            out[0] |= OPT_CANCEL;
        break;
    case 3: /* a source that measures */
        at = say(say(at, 0, XF_MSG_PING, 0), 0, XF_MSG_PING, 0);
        at = say(say(say(at, 1, XF_MSG_PROBE, 2), 1, XF_MSG_PROBE, 3), 1, XF_MSG_PROBE, 0);
        at = say(say(at, 2, XF_MSG_PROBE, 1), 2, XF_MSG_PROBE, 0);
        break;
    case 4: /* and sends more than one may */
        at = say(at, 1, XF_MSG_PROBE, 4);
        break;
    case 5: /* and a page */
        at = say(say(at, 1, XF_MSG_PROBE, 0), 2, XF_MSG_BATCH, 2);
        break;
    default:
        return 0;
    }
    return (size_t)(at - out);
}

FUZZ_TARGET(fuzz_seed, "the link is measured", "the source refuses the sink's answers",
            "the sink serves to the end", "the sink refuses what the source says",
            "a measurement is cancelled")
