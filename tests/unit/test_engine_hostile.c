/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A source that knows the key and lies: whatever it sends, the sink refuses with a reason,
 * never lets the guest run, and touches no page that it must not.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lz4.h>
#include <xxhash.h>
#include <zstd.h>

#include "precopy/state_link.h"
#include "tests/unit/fake_move.h"
#include "tests/unit/suite.h"

static struct move m;
static uint8_t meta[XF_META_MAX];
static uint8_t page[2 * XF_PAGE_SIZE];

static void begin(void)
{
    CU_ASSERT_FATAL(move_open(&m, false, 2));
    memset(page, 0x11, sizeof(page));
    move_serve(&m);
}

/* One run of pages on a bulk channel. */
static void say_batch(unsigned chan, uint64_t gfn, uint32_t count, uint32_t kind, uint64_t sum)
{
    struct xf_batch b = {.round = 1, .nr_runs = 1, .nr_pages = count, .sum = sum};
    struct xf_msg msg = {.type = XF_MSG_BATCH};
    struct iovec iov = {page, (size_t)count * XF_PAGE_SIZE};

    b.runs[0] = (struct xf_run){.gfn = gfn, .count = count, .kind = kind};
    if (kind == XF_RUN_DATA)
        b.data_pages = count;
    msg.meta_len = (uint32_t)xf_batch_encode(&b, meta);
    msg.payload_len = b.data_pages * XF_PAGE_SIZE;
    m.source.ops->send(m.source.bulk[chan], &msg, meta, &iov, b.data_pages ? 1 : 0, NULL);
}

/* Two pages as one compressed block of len bytes. */
static void say_packed(unsigned chan, uint64_t gfn, uint32_t codec, const void *block, uint32_t len,
                       uint64_t sum)
{
    struct xf_batch b = {.round = 1, .nr_runs = 1, .nr_pages = 2, .data_pages = 2, .sum = sum};
    struct xf_pack k = {.codec = codec, .nr_blocks = 1, .len = {len}};
    struct xf_msg msg = {.type = XF_MSG_PACKED, .payload_len = len};
    struct iovec iov = {(void *)block, len};

    b.runs[0] = (struct xf_run){.gfn = gfn, .count = 2, .kind = XF_RUN_DATA};
    msg.meta_len = (uint32_t)xf_packed_encode(&k, &b, meta);
    m.source.ops->send(m.source.bulk[chan], &msg, meta, &iov, 1, NULL);
}

static void say_sync(unsigned chan, uint32_t seq, uint32_t flags)
{
    struct xf_sync sync = {.seq = seq, .flags = flags};
    struct xf_msg msg = {.type = XF_MSG_SYNC};

    msg.meta_len = (uint32_t)xf_sync_encode(&sync, meta);
    m.source.ops->send(m.source.bulk[chan], &msg, meta, NULL, 0, NULL);
}

/* The answer to a sync; false when there is none. */
static bool hear_sync(unsigned chan, struct xf_sync *sync)
{
    struct xf_msg msg;

    return m.source.ops->recv(m.source.bulk[chan], &msg, meta, 5000, NULL) == 0 &&
           msg.type == XF_MSG_SYNC_ACK && !xf_sync_decode(sync, &msg, meta, NULL);
}

static int hear(uint16_t type)
{
    struct xf_msg msg;

    return xf_link_hear(&m.source, type, &msg, meta, 5000, &m.err);
}

static void ask_devices(void)
{
    xf_link_say(&m.source, XF_MSG_DEVICES, NULL, 0, NULL);
    CU_ASSERT_EQUAL(hear(XF_MSG_DEVICES_ACK), 0);
}

static void say_state(uint32_t len)
{
    static const struct xf_tsc tsc = {.mode = 1, .khz = 2400000};
    static const struct xf_param param = {.index = 12, .value = 34};
    struct xf_state s = {0};
    uint8_t blob[FAKE_STATE_BYTES];

    memset(blob, 0x3e, sizeof(blob));
    xf_state_add_tsc(&s, &tsc, NULL);
    xf_state_add_copy(&s, XF_PART_HVM_CONTEXT, blob, len, NULL);
    xf_state_add_params(&s, &param, 1, NULL);
    xf_state_send(&m.source, &s, NULL);
    xf_state_free(&s);
}

/* The sink has refused, and said why to both. */
static void refused(int num, const char *word)
{
    char text[XF_ERR_TEXT] = "";

    CU_ASSERT_EQUAL(hear(XF_MSG_RUNNING), -1);
    move_join(&m);
    snprintf(text, sizeof(text), "%s", m.sink_err.text);
    CU_ASSERT_EQUAL(m.sink_end, XF_SINK_FAILED);
    CU_ASSERT_EQUAL(m.sink_err.num, num);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, word));
    CU_ASSERT_PTR_NOT_NULL(strstr(m.err.text, "destination: "));
    if (!strstr(text, word) || m.sink_err.num != num)
        fprintf(stderr, "sink: %d %s; source: %s\n", m.sink_err.num, text, m.err.text);
    CU_ASSERT_EQUAL(m.f->calls[FAKE_RUN], 0);
    CU_ASSERT_EQUAL(m.committed, 0);
    CU_ASSERT_EQUAL(m.f->broken, 0);
    if (m.f->broken)
        fprintf(stderr, "broken: %s\n", m.f->what);
    for (int i = 0; i < 2; i++) /* the rings are as they were */
        CU_ASSERT_EQUAL(m.f->at_sink.mem[m.f->rings[i] * XF_PAGE_SIZE], 0x5c);
    CU_ASSERT(move_close(&m));
}

static void complete(void)
{
    struct xf_sync sync;

    for (unsigned i = 0; i < 2; i++) {
        say_sync(i, 1, XF_SYNC_LAST);
        CU_ASSERT(hear_sync(i, &sync));
    }
}

static void test_early_go(void)
{
    begin();
    xf_link_say(&m.source, XF_MSG_GO, NULL, 0, NULL);
    refused(EPROTO, "GO before");

    begin();
    complete(); /* but no state */
    xf_link_say(&m.source, XF_MSG_GO, NULL, 0, NULL);
    refused(EPROTO, "GO before");

    begin(); /* state, but one channel is not complete */
    ask_devices();
    say_state(FAKE_STATE_BYTES);
    say_sync(0, 1, XF_SYNC_LAST);
    say_sync(1, 1, 0);
    CU_ASSERT_EQUAL(hear(XF_MSG_LOADED), 0);
    xf_link_say(&m.source, XF_MSG_GO, NULL, 0, NULL);
    refused(EPROTO, "GO before");
}

/* The same messages in good order do run: the ones above fail for the right reason. */
static void test_honest(void)
{
    struct xf_sync sync;

    begin();
    say_batch(0, 100, 2, XF_RUN_DATA, 0);
    say_batch(0, 102, 1, XF_RUN_ZERO, 0);
    say_batch(0, 103, 1, XF_RUN_ABSENT, 0);
    say_sync(0, 7, 0);
    CU_ASSERT_FATAL(hear_sync(0, &sync));
    CU_ASSERT(sync.seq == 7 && sync.pages == 4);
    xf_link_say(&m.source, XF_MSG_PING, NULL, 0, NULL);
    CU_ASSERT_EQUAL(hear(XF_MSG_PONG), 0);
    ask_devices();
    say_state(FAKE_STATE_BYTES);
    CU_ASSERT_EQUAL(hear(XF_MSG_LOADED), 0);
    complete();
    m.f->running = false; /* what no source here does */
    xf_link_say(&m.source, XF_MSG_GO, NULL, 0, NULL);
    CU_ASSERT_EQUAL(hear(XF_MSG_RUNNING), 0);
    move_join(&m);
    CU_ASSERT_EQUAL(m.sink_end, XF_SINK_RUNS);
    CU_ASSERT_EQUAL(memcmp(m.f->at_sink.mem + 100 * XF_PAGE_SIZE, page, sizeof(page)), 0);
    CU_ASSERT_EQUAL(m.f->at_sink.mem[102 * XF_PAGE_SIZE], 0);
    CU_ASSERT_FALSE(m.f->at_sink.has[103]);
    CU_ASSERT_EQUAL(m.f->broken, 0);
    CU_ASSERT(move_close(&m));
}

static void say_whole(uint64_t gfn, uint64_t count)
{
    static struct xf_extents x;

    x = (struct xf_extents){.flags = XF_EXTENTS_LAST, .nr = 1, .list = {{gfn, count}}};
    xf_link_say(&m.source, XF_MSG_WHOLE, meta, xf_extents_encode(&x, meta), NULL);
}

static void test_whole(void)
{
    struct xf_sync sync;

    begin(); /* named twice, and after a page of it has arrived */
    say_whole(0, XF_LARGE_PAGES);
    CU_ASSERT_EQUAL(hear(XF_MSG_WHOLE_ACK), 0);
    say_batch(0, 5, 1, XF_RUN_DATA, 0);
    say_sync(0, 1, 0);
    CU_ASSERT(hear_sync(0, &sync));
    say_whole(0, XF_LARGE_PAGES);
    CU_ASSERT_EQUAL(hear(XF_MSG_WHOLE_ACK), 0);
    say_batch(0, 6, 1, XF_RUN_DATA, 0);
    say_batch(0, FAKE_GFNS, 1, XF_RUN_DATA, 0);
    refused(EPROTO, "beyond the guest's");

    begin();
    say_whole(1, XF_LARGE_PAGES);
    refused(EPROTO, "a part of a large page");

    begin();
    say_whole(0, (FAKE_GFNS / XF_LARGE_PAGES + 1) * XF_LARGE_PAGES);
    refused(EPROTO, "not within the guest's");

    begin();
    ask_devices();
    say_state(FAKE_STATE_BYTES);
    CU_ASSERT_EQUAL(hear(XF_MSG_LOADED), 0);
    say_whole(0, XF_LARGE_PAGES);
    refused(EPROTO, "whole ranges in SWITCH");
}

static void test_forbidden_gfns(void)
{
    for (uint32_t kind = XF_RUN_DATA; kind <= XF_RUN_ABSENT; kind++) {
        begin();
        say_batch(1, FAKE_RING + 1, 1, kind, 0);
        refused(EPROTO, "not its to send");

        begin(); /* the ring in the second place of a run */
        say_batch(1, FAKE_RING - 1, 2, kind, 0);
        refused(EPROTO, "not its to send");

        begin();
        say_batch(1, FAKE_GFNS - 1, 2, kind, 0);
        refused(EPROTO, "beyond the guest's");

        begin();
        say_batch(0, XF_GFN_MAX - 1, 1, kind, 0);
        refused(EPROTO, "beyond the guest's");
    }
}

static void test_checksum(void)
{
    struct xf_sync sync;

    begin();
    say_batch(0, 5, 2, XF_RUN_DATA, XXH3_64bits(page, sizeof(page)));
    say_sync(0, 1, 0);
    CU_ASSERT(hear_sync(0, &sync));
    say_batch(0, 5, 2, XF_RUN_DATA, 1 + XXH3_64bits(page, sizeof(page)));
    refused(EBADMSG, "checksum");
}

/* Pages compressed by the libraries themselves; `page` is what they are. */
static void test_packed(void)
{
    uint64_t sum;
    uint8_t lz4[1000], zstd[1000], more[3 * XF_PAGE_SIZE];
    uint32_t lz4_len, zstd_len;
    struct xf_sync sync;

    begin();
    sum = XXH3_64bits(page, sizeof(page));
    lz4_len = (uint32_t)LZ4_compress_default((char *)page, (char *)lz4, sizeof(page), sizeof(lz4));
    zstd_len = (uint32_t)ZSTD_compress(zstd, sizeof(zstd), page, sizeof(page), 3);
    CU_ASSERT_FATAL(lz4_len > 0 && !ZSTD_isError(zstd_len));
    say_packed(0, 5, XF_CODEC_LZ4, lz4, lz4_len, sum);
    say_packed(0, 7, XF_CODEC_ZSTD, zstd, zstd_len, sum);
    say_packed(0, 9, XF_CODEC_ZSTD, page, sizeof(page), sum); /* as they are */
    say_packed(0, 11, XF_CODEC_LZ4, lz4, lz4_len, 0);
    say_sync(0, 1, 0);
    CU_ASSERT(hear_sync(0, &sync));
    CU_ASSERT_EQUAL(sync.pages, 8);
    for (unsigned gfn = 5; gfn < 13; gfn += 2)
        CU_ASSERT(!memcmp(m.f->at_sink.mem + gfn * XF_PAGE_SIZE, page, sizeof(page)));
    say_packed(0, 5, XF_CODEC_LZ4, lz4, lz4_len, sum + 1);
    refused(EBADMSG, "checksum");

    begin(); /* one for the other */
    say_packed(0, 5, XF_CODEC_ZSTD, lz4, lz4_len, 0);
    refused(EBADMSG, "decompressed");
    begin();
    say_packed(0, 5, XF_CODEC_LZ4, lz4, lz4_len - 1, 0);
    refused(EBADMSG, "decompressed");
    begin();
    say_packed(0, 5, XF_CODEC_ZSTD, zstd, zstd_len - 1, 0);
    refused(EBADMSG, "decompressed");
    begin(); /* of more pages than there are */
    memset(more, 0x22, sizeof(more));
    zstd_len = (uint32_t)ZSTD_compress(zstd, sizeof(zstd), more, sizeof(more), 3);
    say_packed(0, 5, XF_CODEC_ZSTD, zstd, zstd_len, 0);
    refused(EBADMSG, "decompressed");
    begin();
    say_packed(1, FAKE_RING - 1, XF_CODEC_LZ4, lz4, lz4_len, 0);
    refused(EPROTO, "not its to send");
}

static void test_state(void)
{
    begin();
    say_state(FAKE_STATE_BYTES);
    refused(EPROTO, "before it asked");

    begin();
    ask_devices();
    say_state(FAKE_STATE_BYTES);
    say_state(FAKE_STATE_BYTES);
    CU_ASSERT_EQUAL(hear(XF_MSG_LOADED), 0);
    refused(EPROTO, "twice");
}

static void test_misplaced(void)
{
    static const uint16_t control[] = {XF_MSG_BATCH, XF_MSG_SYNC,    XF_MSG_SKELETON,
                                       XF_MSG_BUILT, XF_MSG_RUNNING, 999};
    static const uint16_t bulk[] = {XF_MSG_GO, XF_MSG_STATE, XF_MSG_SYNC_ACK, XF_MSG_ERROR, 999};
    struct iovec iov = {page, 100};

    for (unsigned i = 0; i < sizeof(control) / sizeof(control[0]); i++) {
        begin();
        xf_link_say(&m.source, control[i], NULL, 0, NULL);
        refused(EPROTO, "not allowed here");
    }
    for (unsigned i = 0; i < sizeof(bulk) / sizeof(bulk[0]); i++) {
        struct xf_msg msg = {.type = bulk[i]};

        begin();
        m.source.ops->send(m.source.bulk[1], &msg, NULL, NULL, 0, NULL);
        refused(EPROTO, "on a bulk channel");
    }
    for (int i = 0; i < 2; i++) { /* with a payload that its kind cannot have */
        struct xf_msg msg = {.type = i ? XF_MSG_GO : XF_MSG_PING, .payload_len = 100};

        begin();
        m.source.ops->send(m.source.control, &msg, NULL, &iov, 1, NULL);
        refused(EPROTO, "must not have");
    }
    begin();
    xf_link_say(&m.source, XF_MSG_TARGET, meta, 7, NULL);
    refused(EPROTO, "numbers");
}

/* It gives up, or dies, in the middle of anything: the sink ends. */
static void test_leaves(void)
{
    begin();
    say_batch(0, 5, 2, XF_RUN_DATA, 0);
    xf_link_say(&m.source, XF_MSG_ABORT, NULL, 0, NULL);
    CU_ASSERT_EQUAL(hear(XF_MSG_ABORTED), 0);
    move_join(&m);
    CU_ASSERT_EQUAL(m.sink_end, XF_SINK_ABORTED);
    CU_ASSERT_EQUAL(m.f->calls[FAKE_RUN], 0);
    CU_ASSERT(move_close(&m));

    for (int i = 0; i < 3; i++) {
        begin();
        if (i == 1) {
            complete();
        } else if (i == 2) {
            ask_devices();
            say_state(FAKE_STATE_BYTES);
            CU_ASSERT_EQUAL(hear(XF_MSG_LOADED), 0);
            complete();
        }
        xf_link_close(&m.source);
        move_join(&m);
        CU_ASSERT_EQUAL(m.sink_end, XF_SINK_FAILED);
        CU_ASSERT_EQUAL(m.sink_err.num, ECONNRESET);
        CU_ASSERT_EQUAL(m.f->calls[FAKE_RUN], 0);
        CU_ASSERT(move_close(&m));
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"GO too early", test_early_go},
        {"honest", test_honest},
        {"ranges that are whole", test_whole},
        {"gfns", test_forbidden_gfns},
        {"checksum", test_checksum},
        {"compressed pages", test_packed},
        {"state twice", test_state},
        {"misplaced messages", test_misplaced},
        {"leaves", test_leaves},
        CU_TEST_INFO_NULL,
    };

    alarm(390);
    return run_suite("engine, hostile source", tests);
}
