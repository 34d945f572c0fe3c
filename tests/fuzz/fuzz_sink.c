/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target for the destination's state machines (precopy/sink.c, receiver.c, absent.c,
 * postcopy/pager*.c) driven by a source that knows the key and says whatever it likes: a sequence
 * of messages on the control channel, two bulk channels and the urgent one, from the first page
 * of COPY to the end of PULL. A first byte whose lowest bit is set: a guest that is in PULL
 * already, whose source attaches.
 *
 * Beyond "no crash": no call that pages/vm.h forbids (tiny_vm.c), the guest runs only after a GO
 * and if so exactly once, and both bookkeepings of absent pages agree at the end.
 *
 * A message of the input: channel, type, two bytes of length of the meta part, four of the
 * payload, one of the data that the payload repeats; then meta part and data. Type 255 is none:
 * the source waits until the sink has said all that it has to (nothing is missing any more).
 */
#include <errno.h>

#include "postcopy/pager.h"
#include "precopy/sink.h"
#include "tests/fuzz/puppet.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/tiny_vm.h"
#include "transport/bytes.h"
#include "transport/state.h"
#include "transport/wire.h"

enum { RAN, ABORTED, REFUSED, PUT_ABSENT, PULL_DONE, PULL_LOST, ATTACHED, RAN_FIRST, DISKS_DONE };

#define BULK 2u
#define URGENT PUPPET_URGENT(BULK)
#define HEADER 9u
#define UNTIL_ALL 255u
/* Bits of an input's first byte. */
#define OPT_ATTACH 1u
#define OPT_FIRST 2u    /* the source speaks version 1 */
#define OPT_DISKS 4u    /* disks move, too */
#define IDLE_MAX 3u     /* looks of the sink after which it has said all that it has to */
#define TICKS_MAX 1000u /* without a message: then the operator gives up */

static struct {
    struct puppet puppet;
    struct tiny vm;
    const uint8_t *at, *end; /* what the source still says; under the puppet's lock */
    struct {
        const uint8_t *bytes;
        uint8_t len;
    } data[PUPPET_CHANNELS];
    bool with_disks, disks; /* they move; and are complete */
    bool go;                /* GO was given */
    bool all;               /* the sink has said that nothing is missing */
    /* Whether somebody listens there now. What is said where nobody does is lost. */
    bool open[PUPPET_CHANNELS];
    unsigned idle;
    struct xf_link link;
    struct xf_pager *pager;
    unsigned ticks;
} fuzz; /* big, and a fuzzer has one input at a time */

/* --- what the source says --- */

static unsigned head_channel(void)
{
    return fuzz.at[0] % (URGENT + 1);
}

/* The next message off the input. */
static void take(struct xf_msg *m, uint8_t *meta)
{
    size_t left = (size_t)(fuzz.end - fuzz.at) - HEADER, data = fuzz.at[8];
    unsigned chan = head_channel();

    *m = (struct xf_msg){.type = fuzz.at[1], .meta_len = get_le16(fuzz.at + 2)};
    m->payload_len = get_le32(fuzz.at + 4);
    m->payload_len = m->payload_len < XF_PAYLOAD_MAX ? m->payload_len : XF_PAYLOAD_MAX;
    fuzz.at += HEADER;
    m->meta_len = m->meta_len < left ? m->meta_len : (uint32_t)left;
    left -= m->meta_len;
    data = data < left ? data : left;
    memcpy(meta, fuzz.at, m->meta_len);
    fuzz.data[chan].bytes = fuzz.at + m->meta_len;
    fuzz.data[chan].len = (uint8_t)data;
    fuzz.at += m->meta_len + data;
}

static enum puppet_next fuzz_next(struct puppet *p, unsigned chan, struct xf_msg *m, uint8_t *meta)
{
    for (;;) {
        if ((size_t)(fuzz.end - fuzz.at) < HEADER)
            return puppet_at_rest(p) ? PUPPET_END : PUPPET_NOTHING;
        if (fuzz.at[1] == UNTIL_ALL) {
            if (!fuzz.all)
                return PUPPET_NOTHING;
            fuzz.at += HEADER;
            continue;
        }
        if (head_channel() == chan)
            break;
        if (fuzz.open[head_channel()])
            return PUPPET_NOTHING;
        take(m, meta);
    }
    take(m, meta);
    fuzz.ticks = fuzz.idle = 0;
    fuzz.go |= chan == 0 && m->type == XF_MSG_GO;
    /* Its thread ends with the answer. */
    if (chan && m->type == XF_MSG_SYNC && m->meta_len >= 8 && get_le32(meta + 4) & XF_SYNC_LAST)
        fuzz.open[chan] = false;
    return PUPPET_MESSAGE;
}

static uint8_t fuzz_payload(struct puppet *p, unsigned chan, uint32_t i)
{
    (void)p;
    return fuzz.data[chan].len ? fuzz.data[chan].bytes[i % fuzz.data[chan].len] : 0x11;
}

static void fuzz_sent(struct puppet *p, unsigned chan, const struct xf_msg *m, const uint8_t *meta)
{
    (void)p, (void)chan;
    fuzz.ticks = 0;
    if (m->type == XF_MSG_PULLED)
        fuzz.all = get_le64(meta) == 0;
    if (m->type == XF_MSG_LOADED)
        fuzz.open[URGENT] = fuzz.pager != NULL;
    if (m->type == XF_MSG_RUNNING || m->type == XF_MSG_MISSING)
        memset(fuzz.open, true, sizeof(fuzz.open));
}

static void fuzz_idle(struct puppet *p)
{
    (void)p;
    if ((size_t)(fuzz.end - fuzz.at) >= HEADER && fuzz.at[1] == UNTIL_ALL &&
        ++fuzz.idle > IDLE_MAX) {
        fuzz.idle = 0;
        fuzz.at += HEADER;
    }
}

static const struct puppet_ops puppet_ops = {
    .next = fuzz_next, .payload = fuzz_payload, .sent = fuzz_sent, .idle = fuzz_idle};

/* --- the sink --- */

static int fuzz_tick(void *priv, struct xf_err *err)
{
    (void)priv;
    return ++fuzz.ticks > TICKS_MAX ? xf_fail(err, ECANCELED, "interrupted") : 0;
}

static int fuzz_prepare(void *priv, struct xf_err *err)
{
    (void)priv;
    if (!fuzz.vm.missing.nr)
        return 0;
    if (xf_pager_new(&fuzz.pager, &fuzz.vm.dst, 0, err))
        return -1;
    xf_pager_start(fuzz.pager, &fuzz.link);
    return 0;
}

static bool fuzz_ready(void *priv)
{
    (void)priv;
    return true;
}

static int fuzz_disks(void *priv, struct xf_err *err)
{
    (void)priv, (void)err;
    MUST(fuzz.with_disks && !fuzz.disks); /* once */
    fuzz.disks = true;
    fuzz_reached(DISKS_DONE);
    return 0;
}

static void fuzz_committed(void *priv)
{
    (void)priv;
    MUST(fuzz.go && !fuzz.vm.ran && fuzz.disks == fuzz.with_disks);
    for (unsigned i = 1; i <= BULK; i++) /* each has said that no page comes any more */
        MUST(!fuzz.open[i]);
}

static void fuzz_pull(void)
{
    uint64_t before = fuzz.vm.nr_absent;
    struct xf_err err = {0};
    enum xf_pull_end end = xf_pager_run(fuzz.pager, (struct xf_tick){.call = fuzz_tick}, &err);

    if (fuzz.vm.nr_absent < before)
        fuzz_reached(PUT_ABSENT);
    MUST(end == XF_PULL_DONE || end == XF_PULL_LOST || end == XF_PULL_FAILED);
    MUST(end == XF_PULL_DONE || (err.num && err.text[0]));
    if (end == XF_PULL_DONE) {
        MUST(!fuzz.vm.nr_absent);
        fuzz_reached(PULL_DONE);
    }
    if (end == XF_PULL_LOST)
        fuzz_reached(PULL_LOST);
}

static void fuzz_move(void)
{
    const struct xf_sink_watch watch = {.tick = {.call = fuzz_tick},
                                        .prepare = fuzz_prepare,
                                        .ready = fuzz_ready,
                                        .disks = fuzz.with_disks ? fuzz_disks : NULL,
                                        .committed = fuzz_committed};
    struct xf_err err = {0};
    enum xf_sink_end end = xf_sink_serve(&fuzz.vm.dst, &fuzz.link, &watch, &err);

    MUST(fuzz.vm.ran == (end == XF_SINK_RUNS));
    MUST(!fuzz.vm.ran || (fuzz.go && fuzz.vm.loaded));
    MUST(end != XF_SINK_FAILED || (err.num && err.text[0] && !strchr(err.text, '\n')));
    if (end == XF_SINK_RUNS && fuzz.link.version == 1)
        fuzz_reached(RAN_FIRST);
    fuzz_reached(end == XF_SINK_RUNS ? RAN : end == XF_SINK_ABORTED ? ABORTED : REFUSED);
    if (end == XF_SINK_RUNS && fuzz.vm.missing.at_go)
        fuzz_pull();
}

/* A guest that runs and lacks a few pages; the link is new. */
static void fuzz_attach(void)
{
    struct xf_err err = {0};

    for (uint64_t g = 40; g < 48; g++) {
        fuzz.vm.has[g] = fuzz.vm.absent[g] = true;
        xf_set(fuzz.vm.missing.missing, g);
    }
    fuzz.vm.missing.nr = fuzz.vm.missing.at_go = fuzz.vm.nr_absent = 8;
    fuzz.vm.ran = fuzz.vm.loaded = true;
    MUST(!xf_pager_new(&fuzz.pager, &fuzz.vm.dst, 0, &err));
    if (!xf_pager_attach(fuzz.pager, &fuzz.link, (struct xf_tick){.call = fuzz_tick}, &err)) {
        fuzz_reached(ATTACHED);
        fuzz_pull();
    } else {
        MUST(err.num && err.text[0]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > FUZZ_INPUT_MAX)
        return 0;
    if (!fuzz.puppet.ops)
        puppet_init(&fuzz.puppet, &puppet_ops, NULL);
    fuzz.at = data + 1;
    fuzz.end = data + size;
    fuzz.go = fuzz.all = false;
    fuzz.ticks = fuzz.idle = 0;
    memset(fuzz.open, false, sizeof(fuzz.open));
    memset(fuzz.open, !(data[0] & OPT_ATTACH), 1 + BULK);
    fuzz.open[0] = true;
    memset(fuzz.data, 0, sizeof(fuzz.data));
    fuzz.puppet.one_by_one = true;
    tiny_sink(&fuzz.vm);
    puppet_connect(&fuzz.puppet, &fuzz.link, BULK);
    fuzz.with_disks = data[0] & OPT_DISKS;
    fuzz.disks = false;
    fuzz.link.version = data[0] & OPT_FIRST ? 1 : 0;
    if (data[0] & OPT_ATTACH)
        fuzz_attach();
    else
        fuzz_move();
    xf_pager_free(fuzz.pager);
    fuzz.pager = NULL;
    xf_link_close(&fuzz.link);
    tiny_end(&fuzz.vm);
    return 0;
}

/* --- seeds: sources in good order --- */

static uint8_t *say(uint8_t *out, unsigned chan, unsigned type, size_t meta_len, uint32_t payload,
                    uint8_t data)
{
    out[0] = (uint8_t)chan;
    out[1] = (uint8_t)type;
    put_le16(out + 2, (uint16_t)meta_len);
    put_le32(out + 4, payload);
    out[8] = data ? 1 : 0;
    out[HEADER + meta_len] = data;
    return out + HEADER + meta_len + out[8];
}

/* A batch of up to three runs. */
static uint8_t *say_batch(uint8_t *out, unsigned chan, unsigned type, const struct xf_run runs[3])
{
    struct xf_batch b = {.round = 1};

    for (; b.nr_runs < 3 && runs[b.nr_runs].count; b.nr_runs++) {
        b.runs[b.nr_runs] = runs[b.nr_runs];
        b.nr_pages += runs[b.nr_runs].count;
        b.data_pages += runs[b.nr_runs].kind == XF_RUN_DATA ? runs[b.nr_runs].count : 0;
    }
    return say(out, chan, type, xf_batch_encode(&b, out + HEADER), b.data_pages * XF_PAGE_SIZE,
               (uint8_t)(0x20 + chan));
}

static uint8_t *say_sync(uint8_t *out, unsigned chan, bool last)
{
    struct xf_sync s = {.seq = last ? 2 : 1, .flags = last ? XF_SYNC_LAST : 0};

    return say(out, chan, XF_MSG_SYNC, xf_sync_encode(&s, out + HEADER), 0, 0);
}

static uint8_t *say_numbers(uint8_t *out, unsigned type, uint64_t n)
{
    return say(out, 0, type, xf_u64s_encode(&n, 1, out + HEADER), 0, 0);
}

static uint8_t *say_copy(uint8_t *out)
{
    static const struct xf_run first[3] = {{0, 10, XF_RUN_DATA}, {10, 20, XF_RUN_ZERO}},
                               second[3] = {{30, 10, XF_RUN_DATA},
                                            {100, 3, XF_RUN_ABSENT},
                                            {TINY_BUILT, 1, XF_RUN_DATA}};
    struct xf_batch b = {.nr_runs = 1, .nr_pages = 1, .data_pages = 1, .runs = {{50, 1, 0}}};
    struct xf_pack k = {XF_CODEC_LZ4, 1, {XF_PAGE_SIZE}}; /* as it is */

    out = say_batch(out, 1, XF_MSG_BATCH, first);
    out = say_batch(out, 2, XF_MSG_BATCH, second);
    out = say(out, 1, XF_MSG_PACKED, xf_packed_encode(&k, &b, out + HEADER), XF_PAGE_SIZE, 0x33);
    out = say_sync(say_sync(out, 1, false), 2, false);
    out = say(out, 0, XF_MSG_PING, 0, 0, 0);
    out = say_numbers(out, XF_MSG_TARGET, 4096);
    return say(out, 0, XF_MSG_DEVICES, 0, 0, 0);
}

/* 100 bytes, in three parts. */
static size_t say_state(uint8_t *meta)
{
    static const struct xf_pieces p = {.last = true,
                                       .nr = 3,
                                       .list = {{XF_PART_TSC, XF_PART_MUST, 24, 0, 24},
                                                {XF_PART_HVM_CONTEXT, XF_PART_MUST, 60, 0, 60},
                                                {XF_PART_HVM_PARAMS, XF_PART_MUST, 16, 0, 16}}};

    return xf_pieces_encode(&p, meta);
}

/* The same in version 1. */
static size_t say_state1(uint8_t *meta)
{
    static const struct xf_state1 s = {
        .tsc = {.mode = 1, .khz = 2400000}, .nr_params = 1, .params = {{.index = 12, .value = 34}}};

    return xf_state1_encode(&s, meta);
}

/* In two messages, and with a part of a later version between ours. */
static uint8_t *say_long_state(uint8_t *out)
{
    static const struct xf_pieces first = {.nr = 2,
                                           .list = {{XF_PART_TSC, XF_PART_MUST, 24, 0, 24},
                                                    {XF_PART_HVM_CONTEXT, 1, 60, 0, 20}}},
                                  second = {.last = true,
                                            .nr = 2,
                                            .list = {{XF_PART_HVM_CONTEXT, 1, 60, 20, 40},
                                                     {99, 0, 70000, 0, 70000}}};

    out = say(out, 0, XF_MSG_STATE, xf_pieces_encode(&first, out + HEADER), 44, 0x3e);
    return say(out, 0, XF_MSG_STATE, xf_pieces_encode(&second, out + HEADER), 70040, 0x3e);
}

static uint8_t *say_switch(uint8_t *out)
{
    static const struct xf_run again[3] = {{3, 2, XF_RUN_DATA}};

    out = say_batch(out, 1, XF_MSG_BATCH, again);
    out = say_sync(say_sync(out, 1, true), 2, true);
    return say(out, 0, XF_MSG_STATE, say_state(out + HEADER), 100, 0x3e);
}

static uint8_t *say_absent(uint8_t *out)
{
    static const struct xf_extents set = {
        .flags = XF_EXTENTS_LAST, .nr = 2, .list = {{60, 6}, {TINY_BUILT, 1}}};
    static const struct xf_run some[3] = {{60, 1, XF_RUN_ABSENT}, {61, 1, XF_RUN_DATA}};

    out = say(out, 0, XF_MSG_ABSENT, xf_extents_encode(&set, out + HEADER), 0, 0);
    return say_batch(out, 2, XF_MSG_BATCH, some);
}

/* All of [from, from + 8), one of them asked for. */
static uint8_t *say_pull(uint8_t *out, uint64_t from, uint32_t n)
{
    const struct xf_run asked[3] = {{from, 1, XF_RUN_DATA}}, one[3] = {{from + 1, 1, XF_RUN_ZERO}},
                        rest[3] = {{from + 2, n - 2, XF_RUN_DATA}};

    out = say_batch(out, URGENT, XF_MSG_ANSWER, asked);
    out = say_batch(out, 1, XF_MSG_BATCH, one);
    out = say(out, 0, XF_MSG_PING, 0, 0, 0);
    out = say_batch(out, 2, XF_MSG_BATCH, rest);
    out = say(out, 0, UNTIL_ALL, 0, 0, 0);
    return say(out, 0, XF_MSG_BYE, 0, 0, 0);
}

static size_t fuzz_seed(int n, uint8_t out[FUZZ_INPUT_MAX])
{
    uint8_t *at = out + 1;

    out[0] = n == 4 ? OPT_ATTACH : n == 9 ? OPT_FIRST : n == 11 ? OPT_DISKS : 0;
    switch (n) {
    case 0: /* pre-copy */
        at = say(say_switch(say_copy(at)), 0, XF_MSG_GO, 0, 0, 0);
        break;
    case 1: /* hybrid, with all pages of PULL */
        at = say_absent(say_copy(at));
        at = say_numbers(say_switch(at), XF_MSG_GO, 3);
        at = say_pull(at, 62, 4); /* 60 and 61 came before, 63 cannot be absent */
        break;
    case 2: /* the link is lost in PULL */
        at = say_absent(say_copy(at));
        at = say_numbers(say_switch(at), XF_MSG_GO, 3);
        break;
    case 3:
        at = say(say_copy(at), 0, XF_MSG_ABORT, 0, 0, 0);
        break;
    case 4: /* a source that attaches */
        at = say(at, 0, XF_MSG_ATTACH, 0, 0, 0);
        at = say_pull(at, 40, 8);
        break;
    case 5: /* a ring */
        at = say_batch(say_copy(at), 1, XF_MSG_BATCH,
                       (const struct xf_run[3]){{TINY_RING, 1, XF_RUN_ZERO}});
        break;
    case 6: /* GO, and one channel may still have pages */
        at = say_sync(say_copy(at), 1, true);
        at = say(at, 0, XF_MSG_STATE, say_state(at + HEADER), 100, 0x3e);
        at = say(at, 0, XF_MSG_GO, 0, 0, 0);
        break;
    case 7: /* GO, and another number of pages than was marked */
        at = say_absent(say_copy(at));
        at = say_numbers(say_switch(at), XF_MSG_GO, 4);
        break;
    case 8: /* pages marked absent when the state is there */
        at = say_absent(say_switch(say_copy(at)));
        break;
    case 9: /* a source of version 1 */
        at = say_sync(say_sync(say_copy(at), 1, true), 2, true);
        at = say(at, 0, XF_MSG_STATE, say_state1(at + HEADER), 60, 0x3e);
        at = say(at, 0, XF_MSG_GO, 0, 0, 0);
        break;
    case 10:
        at = say_sync(say_sync(say_copy(at), 1, true), 2, true);
        at = say(say_long_state(at), 0, XF_MSG_GO, 0, 0, 0);
        break;
    case 11:
        at = say(say_switch(say_copy(at)), 0, XF_MSG_DISKS_DRAINED, 0, 0, 0);
        at = say(at, 0, XF_MSG_GO, 0, 0, 0);
        break;
    default:
        return 0;
    }
    return (size_t)(at - out);
}

FUZZ_TARGET(fuzz_seed, "the guest runs", "the source gives up", "the source is refused",
            "an absent page is put in", "PULL is done", "PULL loses its link", "a source attaches",
            "the guest of a source of version 1 runs", "its disks are complete")
