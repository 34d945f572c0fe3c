/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of transport/frame.c and transport/wire.c: bytes as docs/wire-protocol.md says,
 * round trips, each limit from both sides, cut and damaged input. Random input is the
 * business of test_replay.c and the fuzzer.
 */
#include "transport/wire.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transport/frame.h"
#include "transport/state.h"

static struct xf_batch batch, batch2;
static struct xf_skeleton skel, skel2;
static struct xf_state1 state, state2;
static uint8_t meta[XF_META_MAX];

static struct xf_msg msg(size_t meta_len, uint32_t payload)
{
    return (struct xf_msg){0, 0, (uint32_t)meta_len, payload};
}

/* One refusal: EPROTO and a sentence that contains `word`. */
#define REFUSED(call, word)                                                                        \
    do {                                                                                           \
        struct xf_err err = {0};                                                                   \
        CU_ASSERT((call) == -1);                                                                   \
        CU_ASSERT(err.num == EPROTO);                                                              \
        CU_ASSERT(strstr(err.text, word) != NULL);                                                 \
    } while (0)
#define TAKEN(call)                                                                                \
    do {                                                                                           \
        struct xf_err err = {0};                                                                   \
        CU_ASSERT((call) == 0);                                                                    \
        CU_ASSERT(err.num == 0);                                                                   \
    } while (0)

static void put32(size_t off, uint32_t v)
{
    int i;

    for (i = 0; i < 4; i++)
        meta[off + (size_t)i] = (uint8_t)(v >> 8 * i);
}

static void test_frame(void)
{
    static const uint8_t head[16] = {'X', 'F', 'M', '1', 1, 0, 2, 0, 5, 0, 0, 0, 0, 16, 0, 0};
    struct xf_msg m = {1, 2, 5, 4096}, got;
    uint8_t f[XF_FRAME_BYTES + 5];
    struct xf_err err = {0};
    int bit;

    memcpy(f + XF_FRAME_BYTES, "hello", 5);
    CU_ASSERT(xf_frame_encode(f, &m, f + XF_FRAME_BYTES, &err) == 0);
    CU_ASSERT(!memcmp(f, head, 16));
    CU_ASSERT(xf_frame_decode(&got, f, &err) == 0);
    CU_ASSERT(got.type == 1 && got.flags == 2 && got.meta_len == 5 && got.payload_len == 4096);
    CU_ASSERT(xf_frame_check(f, &got, f + XF_FRAME_BYTES, &err) == 0);
    for (bit = 0; bit < (int)sizeof(f) * 8; bit++) { /* no flipped bit goes unnoticed */
        uint8_t g[XF_FRAME_BYTES + XF_META_MAX] = {0};
        struct xf_err e = {0};

        memcpy(g, f, sizeof(f));
        g[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CU_ASSERT(xf_frame_decode(&got, g, &e) || xf_frame_check(g, &got, g + XF_FRAME_BYTES, &e));
        CU_ASSERT(e.num == EPROTO);
    }
}

static void test_frame_limits(void)
{
    struct xf_msg m = {1, 0, 0, 0}, got;
    uint8_t f[XF_FRAME_BYTES];
    struct xf_err e = {0};

    CU_ASSERT(xf_frame_encode(f, &m, NULL, &e) == 0);
    CU_ASSERT(xf_frame_check(f, &m, NULL, &e) == 0);
    m.meta_len = XF_META_MAX;
    m.payload_len = XF_PAYLOAD_MAX;
    CU_ASSERT(xf_frame_encode(f, &m, meta, &e) == 0);
    CU_ASSERT(xf_frame_decode(&got, f, &e) == 0);
    m.meta_len++;
    CU_ASSERT(xf_frame_encode(f, &m, meta, &e) == -1 && e.num == EMSGSIZE);
    m.meta_len = 0, m.payload_len++;
    xf_clear(&e);
    CU_ASSERT(xf_frame_encode(f, &m, meta, &e) == -1 && e.num == EMSGSIZE);
    f[10] = 1, f[8] = 1; /* meta_len 65537 */
    REFUSED(xf_frame_decode(&got, f, &err), "meta");
    f[10] = 0, f[12] = 1; /* payload_len 4 MiB + 1 */
    REFUSED(xf_frame_decode(&got, f, &err), "payload");
    f[0] = 'Y';
    REFUSED(xf_frame_decode(&got, f, &err), "XFM1");
}

static void test_hello1(void)
{
    static const uint8_t bytes[XF_HELLO_BYTES] = {'X', 'F', 'H', '1', 1, 0, 0, 0, 3, 0, 4, 0, 1};
    struct xf_chan_hello h = {1, 1, 0, XF_BULK(2), 4, true, 0}, got;
    uint8_t b[XF_HELLO_BYTES];
    struct xf_err e = {0};

    xf_chan_hello_encode(b, &h);
    CU_ASSERT(!memcmp(b, bytes, sizeof(b)));
    CU_ASSERT(xf_chan_hello_decode(&got, b, &e) == 0 && got.version == 1 && got.oldest == 1);
    CU_ASSERT(got.id.role == XF_ROLE_BULK && got.id.nr == 2 && got.channels == 4 && got.encrypt);
    for (unsigned i = 0; i < 100; i++) { /* the number says what it is, both ways */
        struct xf_chan_id id = xf_chan_id_of(i, 4);

        CU_ASSERT(id.role == (i == 0   ? XF_ROLE_CONTROL
                              : i <= 4 ? XF_ROLE_BULK
                              : i == 5 ? XF_ROLE_URGENT
                                       : XF_ROLES));
        CU_ASSERT(xf_chan_index(id, 4) == i);
    }
    b[14] = 1; /* where version 2 has the role */
    REFUSED(xf_chan_hello_decode(&got, b, &err), "zero");
    b[14] = 0, b[16] = 1;
    REFUSED(xf_chan_hello_decode(&got, b, &err), "zero");
}

static void test_hello(void)
{
    static const uint8_t bytes[XF_HELLO_BYTES] = {'X', 'F', 'H', '1', 2, 0, 0, 0, 2,
                                                  0,   4,   0,   1,   0, 1, 0, 1};
    const uint32_t third = xf_chan_hello_take(0, XF_BULK(2)),
                   both = xf_chan_hello_take(1, XF_BULK(2));
    struct xf_chan_hello h = {2, 1, 0, XF_BULK(2), 4, true, 0},
                         ours = {2, 1, 0, XF_CONTROL, 4, true, 0}, got;
    uint8_t b[XF_HELLO_BYTES];
    struct xf_err e = {0};

    xf_chan_hello_encode(b, &h);
    CU_ASSERT(!memcmp(b, bytes, sizeof(b)));
    CU_ASSERT(xf_chan_hello_decode(&got, b, &e) == 0);
    CU_ASSERT(xf_chan_id_same(got.id, XF_BULK(2)) && got.channels == 4 && got.encrypt);
    CU_ASSERT(got.version == 2 && got.oldest == 1);
    CU_ASSERT(xf_chan_hello_judge(&ours, &got, 0) == XF_HELLO_WELCOME);
    CU_ASSERT(xf_chan_hello_judge(&ours, &got, third) == XF_HELLO_DUPLICATE);
    got.id = XF_CONTROL; /* begins a link anew */
    CU_ASSERT(xf_chan_hello_judge(&ours, &got, both) == XF_HELLO_WELCOME);
    CU_ASSERT(xf_chan_hello_take(both, XF_CONTROL) == 1);
    CU_ASSERT(xf_chan_hello_untake(both, XF_BULK(2)) == 1);
    CU_ASSERT(xf_chan_hello_take(third, XF_URGENT) != third);
    got.id = XF_URGENT;
    CU_ASSERT(xf_chan_hello_judge(&ours, &got, 0) == XF_HELLO_WELCOME);
    got.id.nr = 1;
    CU_ASSERT(xf_chan_hello_judge(&ours, &got, 0) == XF_HELLO_ROLE);
    got.id = XF_BULK(4);
    CU_ASSERT(xf_chan_hello_judge(&ours, &got, 0) == XF_HELLO_ROLE);
    got.id = XF_DISK(1);
    CU_ASSERT(xf_chan_hello_judge(&ours, &got, 0) == XF_HELLO_ROLE);
    ours.disk_channels = 2;
    CU_ASSERT(xf_chan_hello_judge(&ours, &got, 0) == XF_HELLO_WELCOME);
    CU_ASSERT(xf_chan_hello_judge(&ours, &got, xf_chan_hello_take(0, got.id)) ==
              XF_HELLO_DUPLICATE);
    CU_ASSERT(xf_chan_hello_take(0, got.id) != xf_chan_hello_take(0, XF_URGENT));
    got.id.nr = 2;
    CU_ASSERT(xf_chan_hello_judge(&ours, &got, 0) == XF_HELLO_ROLE);
    got.id.nr = XF_DISK_CHANNELS_MAX;
    ours.disk_channels = 99;
    CU_ASSERT(xf_chan_hello_judge(&ours, &got, 0) == XF_HELLO_ROLE);
    got.id.nr--;
    CU_ASSERT(xf_chan_hello_take(0, got.id) == 1u << 31);
    got.id = (struct xf_chan_id){(enum xf_role)65535, 0}; /* of a later version, or nonsense */
    CU_ASSERT(xf_chan_hello_judge(&ours, &got, 0) == XF_HELLO_ROLE);
    got.encrypt = false;
    CU_ASSERT(xf_chan_hello_judge(&ours, &got, 0) == XF_HELLO_ENCRYPT);
    got.channels = 3;
    CU_ASSERT(xf_chan_hello_judge(&ours, &got, 0) == XF_HELLO_CHANNELS);
    got.version = 1;
    CU_ASSERT(xf_chan_hello_judge(&ours, &got, 0) == XF_HELLO_VERSION);
    b[20] = 1;
    REFUSED(xf_chan_hello_decode(&got, b, &err), "zero");
    b[20] = 0, b[12] = 3;
    REFUSED(xf_chan_hello_decode(&got, b, &err), "flags");
    b[12] = 1, b[16] = 3;
    REFUSED(xf_chan_hello_decode(&got, b, &err), "oldest");
    b[16] = 0;
    REFUSED(xf_chan_hello_decode(&got, b, &err), "oldest");
    b[0] = 0;
    REFUSED(xf_chan_hello_decode(&got, b, &err), "XFH1");
    /* another version may mean anything by the rest: it is refused by its number alone */
    b[0] = 'X', b[4] = 3, b[20] = 7, b[16] = 2;
    CU_ASSERT(xf_chan_hello_decode(&got, b, &e) == 0 && got.version == 3 && got.oldest == 2);
}

/* A batch of one page per run, every third one data. */
static uint32_t many_runs(uint32_t n)
{
    uint32_t i;

    memset(&batch, 0, sizeof(batch));
    batch.round = 9;
    batch.sum = 0x0102030405060708ull;
    batch.nr_runs = batch.nr_pages = n;
    for (i = 0; i < n; i++) {
        batch.runs[i] = (struct xf_run){100 + 2 * i, 1, i % 3};
        batch.data_pages += i % 3 == XF_RUN_DATA;
    }
    return batch.data_pages * XF_PAGE_SIZE;
}

static void test_batch(void)
{
    uint32_t payload = many_runs(XF_BATCH_PAGES);
    size_t len = xf_batch_encode(&batch, meta);
    struct xf_msg m = msg(len, payload);

    CU_ASSERT(len == 24 + 16 * XF_BATCH_PAGES);
    TAKEN(xf_batch_decode(&batch2, &m, meta, XF_GFN_MAX, &err));
    CU_ASSERT(!memcmp(&batch, &batch2, sizeof(batch)));
    many_runs(1);
    len = xf_batch_encode(&batch, meta);
    CU_ASSERT(len == 40 && meta[0] == 9 && meta[4] == 1 && meta[8] == 1 && meta[12] == 1 &&
              meta[16] == 8 && meta[23] == 1 && meta[24] == 100 && meta[32] == 1 && meta[36] == 0);
}

static void test_batch_limits(void)
{
    struct xf_msg m;

    many_runs(1);
    m = msg(xf_batch_encode(&batch, meta), XF_PAGE_SIZE);
    TAKEN(xf_batch_decode(&batch2, &m, meta, 101, &err));
    REFUSED(xf_batch_decode(&batch2, &m, meta, 100, &err), "beyond");
    m.payload_len = XF_PAGE_SIZE - 1;
    REFUSED(xf_batch_decode(&batch2, &m, meta, 101, &err), "payload");
    m.payload_len = 0;
    REFUSED(xf_batch_decode(&batch2, &m, meta, 101, &err), "payload");
    m.payload_len = XF_PAGE_SIZE;
    put32(36, 3);
    REFUSED(xf_batch_decode(&batch2, &m, meta, 101, &err), "kind");
    put32(36, 1); /* zero: then it is not a data page */
    REFUSED(xf_batch_decode(&batch2, &m, meta, 101, &err), "says");
    put32(36, 0), put32(32, 0);
    REFUSED(xf_batch_decode(&batch2, &m, meta, 101, &err), "pages");
    put32(32, XF_BATCH_PAGES + 1);
    REFUSED(xf_batch_decode(&batch2, &m, meta, XF_GFN_MAX, &err), "pages");
    put32(32, UINT32_MAX);
    REFUSED(xf_batch_decode(&batch2, &m, meta, XF_GFN_MAX, &err), "pages");
    put32(32, 1), put32(4, 0);
    REFUSED(xf_batch_decode(&batch2, &m, meta, 101, &err), "runs");
    put32(4, XF_BATCH_PAGES + 1);
    REFUSED(xf_batch_decode(&batch2, &m, meta, 101, &err), "runs");
    put32(4, 1), put32(24, UINT32_MAX), put32(28, UINT32_MAX); /* gfn + count wraps */
    REFUSED(xf_batch_decode(&batch2, &m, meta, UINT64_MAX, &err), "beyond");
    put32(24, 0), put32(28, 1u << 8); /* XF_GFN_MAX holds whatever the caller allows */
    REFUSED(xf_batch_decode(&batch2, &m, meta, UINT64_MAX, &err), "beyond");
}

/* 70 data pages: two blocks, the second of 6 pages. */
static struct xf_pack make_pack(void)
{
    memset(&batch, 0, sizeof(batch));
    batch.nr_runs = 2;
    batch.nr_pages = 80;
    batch.data_pages = 70;
    batch.runs[0] = (struct xf_run){5, 10, XF_RUN_ZERO};
    batch.runs[1] = (struct xf_run){20, 70, XF_RUN_DATA};
    return (struct xf_pack){XF_CODEC_ZSTD, 2, {1, 6 * XF_PAGE_SIZE}};
}

static void test_packed(void)
{
    struct xf_pack k = make_pack(), k2 = {0};
    size_t len = xf_packed_encode(&k, &batch, meta), all;
    uint32_t payload = 1 + 6 * XF_PAGE_SIZE;
    struct xf_msg m = msg(len, payload);

    CU_ASSERT(len == 8 + 2 * 4 + 24 + 2 * 16);
    memset(&batch2, 0, sizeof(batch2));
    TAKEN(xf_packed_decode(&k2, &batch2, &m, meta, 90, &err));
    CU_ASSERT(!memcmp(&k, &k2, sizeof(k)));
    CU_ASSERT(!memcmp(&batch, &batch2, sizeof(batch)));
    REFUSED(xf_packed_decode(&k2, &batch2, &m, meta, 89, &err), "beyond");
    for (all = 0; all < len; all++) {
        m = msg(all, payload);
        REFUSED(xf_packed_decode(&k2, &batch2, &m, meta, 90, &err), "");
    }
    m = msg(len + 1, payload);
    REFUSED(xf_packed_decode(&k2, &batch2, &m, meta, 90, &err), "counts");
    m = msg(len, payload + 1);
    REFUSED(xf_packed_decode(&k2, &batch2, &m, meta, 90, &err), "payload");
    m = msg(len, payload);
    put32(0, 0);
    REFUSED(xf_packed_decode(&k2, &batch2, &m, meta, 90, &err), "method");
    put32(0, XF_CODECS);
    REFUSED(xf_packed_decode(&k2, &batch2, &m, meta, 90, &err), "method");
    put32(0, XF_CODEC_LZ4);
    TAKEN(xf_packed_decode(&k2, &batch2, &m, meta, 90, &err));
    put32(4, 0);
    REFUSED(xf_packed_decode(&k2, &batch2, &m, meta, 90, &err), "blocks");
    put32(4, XF_PACK_BLOCKS + 1);
    REFUSED(xf_packed_decode(&k2, &batch2, &m, meta, 90, &err), "blocks");
    put32(4, UINT32_MAX);
    REFUSED(xf_packed_decode(&k2, &batch2, &m, meta, 90, &err), "blocks");
    put32(4, 2);
    put32(8, 0); /* a block of nothing; of more than its pages; of so much that the sum wraps */
    m = msg(len, 6 * XF_PAGE_SIZE);
    REFUSED(xf_packed_decode(&k2, &batch2, &m, meta, 90, &err), "block 0");
    put32(8, XF_PACK_BYTES + 1);
    m = msg(len, XF_PACK_BYTES + 1 + 6 * XF_PAGE_SIZE);
    REFUSED(xf_packed_decode(&k2, &batch2, &m, meta, 90, &err), "block 0");
    put32(8, UINT32_MAX);
    m = msg(len, 6 * XF_PAGE_SIZE - 1);
    REFUSED(xf_packed_decode(&k2, &batch2, &m, meta, 90, &err), "block 0");
    put32(8, 1);
    put32(12, 6 * XF_PAGE_SIZE + 1);
    m = msg(len, payload + 1);
    REFUSED(xf_packed_decode(&k2, &batch2, &m, meta, 90, &err), "block 1");
}

/* Data pages and blocks have to fit together, on both sides. */
static void test_packed_counts(void)
{
    struct xf_pack k = make_pack(), k2;
    struct xf_msg m;
    size_t len;

    k.nr_blocks = 3;
    k.len[2] = 1;
    CU_ASSERT(xf_packed_encode(&k, &batch, meta) == 0);
    k.nr_blocks = 2;
    k.codec = XF_CODEC_NONE;
    CU_ASSERT(xf_packed_encode(&k, &batch, meta) == 0);
    k.codec = XF_CODEC_LZ4;
    k.len[1] = 0;
    CU_ASSERT(xf_packed_encode(&k, &batch, meta) == 0);
    k.len[1] = 1;
    len = xf_packed_encode(&k, &batch, meta);
    put32(16 + 12, 64); /* data_pages, without its run */
    m = msg(len, 2);
    REFUSED(xf_packed_decode(&k2, &batch2, &m, meta, 90, &err), "says");
    /* No data page at all. */
    batch.nr_pages = 10;
    batch.nr_runs = 1;
    batch.data_pages = 0;
    k.nr_blocks = 0;
    CU_ASSERT(xf_packed_encode(&k, &batch, meta) == 0);
    put32(0, XF_CODEC_LZ4);
    put32(4, 1);
    put32(8, 1);
    len = 12 + xf_batch_encode(&batch, meta + 12);
    m = msg(len, 1);
    REFUSED(xf_packed_decode(&k2, &batch2, &m, meta, 90, &err), "0 data pages");
    /* The most there can be. */
    memset(&batch, 0, sizeof(batch));
    batch.nr_runs = XF_BATCH_PAGES;
    batch.nr_pages = batch.data_pages = XF_BATCH_PAGES;
    for (uint32_t i = 0; i < XF_BATCH_PAGES; i++)
        batch.runs[i] = (struct xf_run){2 * i, 1, XF_RUN_DATA};
    k.nr_blocks = XF_PACK_BLOCKS;
    for (uint32_t i = 0; i < XF_PACK_BLOCKS; i++)
        k.len[i] = XF_PACK_BYTES;
    m = msg(xf_packed_encode(&k, &batch, meta), XF_PAYLOAD_MAX);
    CU_ASSERT(m.meta_len > 0 && m.meta_len <= XF_META_MAX);
    TAKEN(xf_packed_decode(&k2, &batch2, &m, meta, XF_GFN_MAX, &err));
}

static void test_batch_order(void)
{
    struct xf_msg m;

    many_runs(3);
    m = msg(xf_batch_encode(&batch, meta), XF_PAGE_SIZE);
    TAKEN(xf_batch_decode(&batch2, &m, meta, XF_GFN_MAX, &err));
    put32(24 + 16, 101); /* right behind the first: allowed */
    TAKEN(xf_batch_decode(&batch2, &m, meta, XF_GFN_MAX, &err));
    put32(24 + 16, 100); /* the same page twice */
    REFUSED(xf_batch_decode(&batch2, &m, meta, XF_GFN_MAX, &err), "follow");
    put32(24 + 16, 99); /* backwards */
    REFUSED(xf_batch_decode(&batch2, &m, meta, XF_GFN_MAX, &err), "follow");
    put32(24 + 16, 102);
    put32(24 + 16 + 8, 3), put32(8, 5); /* overlaps the third */
    REFUSED(xf_batch_decode(&batch2, &m, meta, XF_GFN_MAX, &err), "follow");
    batch.runs[1].gfn = 100;
    CU_ASSERT(xf_batch_encode(&batch, meta) == 0); /* and the encoder refuses as well */
    many_runs(2), batch.nr_pages = 3;
    CU_ASSERT(xf_batch_encode(&batch, meta) == 0);
    batch.nr_runs = XF_BATCH_PAGES + 1;
    CU_ASSERT(xf_batch_encode(&batch, meta) == 0);
}

static void test_follow(void)
{
    static const uint8_t bytes[] = {11, 0, 0, 0, 4, 0, 0, 0, 5, 4, 'w', 'e', 'b', '2'};
    struct xf_follow f = {.name = "web2", .nr_vcpus = 11, .vcpus = {5, 4}}, f2;
    struct xf_msg m = msg(xf_follow_encode(&f, meta), 0);

    CU_ASSERT(m.meta_len == sizeof(bytes) && !memcmp(meta, bytes, sizeof(bytes)));
    TAKEN(xf_follow_decode(&f2, &m, meta, &err));
    CU_ASSERT(!memcmp(&f, &f2, sizeof(f)) && xf_follow_vcpus(&f2) == 3);
    meta[9] = 8; /* a vCPU 11 of 11 */
    REFUSED(xf_follow_decode(&f2, &m, meta, &err), "more than there are");
    meta[8] = meta[9] = 0;
    REFUSED(xf_follow_decode(&f2, &m, meta, &err), "no vCPU");
    meta[8] = 1;
    meta[11] = 0x1b;
    REFUSED(xf_follow_decode(&f2, &m, meta, &err), "cannot be shown");
    meta[11] = 0;
    REFUSED(xf_follow_decode(&f2, &m, meta, &err), "cannot be shown");
    put32(0, 0);
    REFUSED(xf_follow_decode(&f2, &m, meta, &err), "0 vCPUs");
    put32(0, XF_VCPUS_MAX + 1);
    REFUSED(xf_follow_decode(&f2, &m, meta, &err), "513 vCPUs");
    put32(0, 11), put32(4, 0);
    REFUSED(xf_follow_decode(&f2, &m, meta, &err), "0 bytes");
    put32(4, XF_NAME_BYTES);
    REFUSED(xf_follow_decode(&f2, &m, meta, &err), "128 bytes");
    put32(4, UINT32_MAX);
    REFUSED(xf_follow_decode(&f2, &m, meta, &err), "bytes");
    for (unsigned len = 0; len < sizeof(bytes); len++) {
        m = msg(xf_follow_encode(&f, meta), 0);
        m.meta_len = len;
        REFUSED(xf_follow_decode(&f2, &m, meta, &err), "a change of the guest");
    }
    f.nr_vcpus = XF_VCPUS_MAX; /* the largest */
    memset(f.vcpus, 0xff, sizeof(f.vcpus));
    memset(f.name, 'x', sizeof(f.name) - 1);
    m = msg(xf_follow_encode(&f, meta), 0);
    TAKEN(xf_follow_decode(&f2, &m, meta, &err));
    CU_ASSERT(!memcmp(&f, &f2, sizeof(f)));
    f.name[sizeof(f.name) - 1] = 'x';
    CU_ASSERT_EQUAL(xf_follow_encode(&f, meta), 0);
    f.name[0] = 0;
    CU_ASSERT_EQUAL(xf_follow_encode(&f, meta), 0);
}

static void test_sync(void)
{
    struct xf_sync s = {1, 2, 1ull << 40}, got;
    struct xf_msg m = msg(xf_sync_encode(&s, meta), 0);

    CU_ASSERT(m.meta_len == 16);
    TAKEN(xf_sync_decode(&got, &m, meta, &err));
    CU_ASSERT(got.seq == 1 && got.flags == 2 && got.pages == 1ull << 40);
    m.payload_len = 1;
    REFUSED(xf_sync_decode(&got, &m, meta, &err), "payload");
    m = msg(17, 0);
    REFUSED(xf_sync_decode(&got, &m, meta, &err), "17");
}

static void text_is(const char *in, const char *out)
{
    char text[XF_TEXT_MAX];
    int num;
    struct xf_msg m = msg(xf_text_encode(EIO, in, meta), 0);

    TAKEN(xf_text_decode(&num, text, &m, meta, &err));
    CU_ASSERT(num == EIO && !strcmp(text, out));
}

static void test_text(void)
{
    char big[XF_TEXT_MAX + 10], text[XF_TEXT_MAX];
    struct xf_msg m;
    int num, i;

    text_is("plain", "plain");
    text_is("", "");
    text_is(NULL, "");
    text_is("b\xc3\xbc \xe2\x82\xac \xf0\x9f\x90\xa2", "b\xc3\xbc \xe2\x82\xac \xf0\x9f\x90\xa2");
    text_is("a\nb\x1b[2Jc\x7f", "a b?[2Jc?"); /* all of it: test_text.c */
    for (i = 0; i < 4; i++) {                 /* cut between characters */
        memset(big, 'a', sizeof(big));
        memcpy(big + XF_TEXT_MAX - 1 - i, "\xf0\x9f\x90\xa2", 4);
        big[sizeof(big) - 1] = '\0';
        m = msg(xf_text_encode(EIO, big, meta), 0);
        TAKEN(xf_text_decode(&num, text, &m, meta, &err));
        CU_ASSERT(strlen(text) == XF_TEXT_MAX - 1 - (size_t)i && !strchr(text, '?'));
    }
    m = msg(xf_text_encode(1 << 20, "x", meta), 0);
    TAKEN(xf_text_decode(&num, text, &m, meta, &err));
    CU_ASSERT(num == 0);
    put32(0, 4096);
    REFUSED(xf_text_decode(&num, text, &m, meta, &err), "number");
    put32(0, 4095), put32(4, XF_TEXT_MAX);
    m.meta_len = 8 + XF_TEXT_MAX;
    REFUSED(xf_text_decode(&num, text, &m, meta, &err), "limit");
    put32(4, 2), m.meta_len = 9;
    REFUSED(xf_text_decode(&num, text, &m, meta, &err), "counts");
    m.meta_len = 10, m.payload_len = 1;
    REFUSED(xf_text_decode(&num, text, &m, meta, &err), "payload");
}

static void test_built(void)
{
    char why[XF_TEXT_MAX];
    uint32_t domid = 0;
    struct xf_msg m = msg(xf_built_encode(7, 0, NULL, meta), 0);
    int num = 1;

    CU_ASSERT(m.meta_len == 8);
    TAKEN(xf_built_decode(&domid, &num, why, &m, meta, &err));
    CU_ASSERT(domid == 7 && num == 0 && !why[0]);
    m = msg(xf_built_encode(32751, ENOSYS, "no\npaging", meta), 0);
    TAKEN(xf_built_decode(&domid, &num, why, &m, meta, &err));
    CU_ASSERT(domid == 32751 && num == ENOSYS && !strcmp(why, "no paging"));
    m.meta_len--;
    REFUSED(xf_built_decode(&domid, &num, why, &m, meta, &err), "counts");
    m.meta_len = 12;
    REFUSED(xf_built_decode(&domid, &num, why, &m, meta, &err), "");
    m.meta_len = 7;
    REFUSED(xf_built_decode(&domid, &num, why, &m, meta, &err), "");
    m.meta_len = 0;
    REFUSED(xf_built_decode(&domid, &num, why, &m, meta, &err), "");
    m = msg(xf_built_encode(0, 0, NULL, meta), 0);
    REFUSED(xf_built_decode(&domid, &num, why, &m, meta, &err), "cannot be a guest");
    m = msg(xf_built_encode(32752, 0, NULL, meta), 0);
    REFUSED(xf_built_decode(&domid, &num, why, &m, meta, &err), "cannot be a guest");
    m = msg(xf_built_encode(1, 0, NULL, meta), 1);
    REFUSED(xf_built_decode(&domid, &num, why, &m, meta, &err), "payload");
}

static struct xf_msg full_skeleton(void)
{
    uint32_t i;

    memset(&skel, 0, sizeof(skel));
    skel.xen_major = 4, skel.xen_minor = 17;
    skel.config_len = XF_PAYLOAD_MAX - 3, skel.cpuid_len = skel.msr_len = skel.ctx_len = 1;
    skel.nr_gfns = XF_GFN_MAX, skel.nr_pages = XF_GFN_MAX;
    skel.tsc = (struct xf_tsc){1, 2, 3, 4};
    skel.nr_params = XF_PARAMS_MAX;
    skel.nr_specials = XF_SPECIALS_MAX;
    for (i = 0; i < XF_PARAMS_MAX; i++)
        skel.params[i] = (struct xf_param){UINT32_MAX, UINT64_MAX - i};
    for (i = 0; i < XF_SPECIALS_MAX; i++)
        skel.specials[i] = XF_GFN_MAX - 1 - i;
    return msg(xf_skeleton_encode(&skel, meta), XF_PAYLOAD_MAX);
}

static void test_skeleton(void)
{
    struct xf_msg m = full_skeleton();

    CU_ASSERT(m.meta_len == 72 + 16 * XF_PARAMS_MAX + 8 * XF_SPECIALS_MAX);
    memset(&skel2, 0, sizeof(skel2));
    TAKEN(xf_skeleton_decode(&skel2, &m, meta, &err));
    CU_ASSERT(!memcmp(&skel, &skel2, sizeof(skel)));
    skel.nr_params = skel.nr_specials = 0;
    m = msg(xf_skeleton_encode(&skel, meta), XF_PAYLOAD_MAX);
    CU_ASSERT(m.meta_len == 72);
    TAKEN(xf_skeleton_decode(&skel2, &m, meta, &err));
}

static void test_skeleton_limits(void)
{
    struct xf_msg m = full_skeleton();

    m.payload_len--;
    REFUSED(xf_skeleton_decode(&skel2, &m, meta, &err), "payload");
    m.payload_len++;
    put32(20, 2); /* one byte more than a payload may have */
    REFUSED(xf_skeleton_decode(&skel2, &m, meta, &err), "limit");
    put32(8, UINT32_MAX), put32(12, 1), put32(16, 0), put32(20, 0); /* the sum wraps to 0 */
    m.payload_len = 0;
    REFUSED(xf_skeleton_decode(&skel2, &m, meta, &err), "limit");
    m = full_skeleton();
    put32(60, 1);
    REFUSED(xf_skeleton_decode(&skel2, &m, meta, &err), "reserved");
    put32(60, 0), put32(64, XF_PARAMS_MAX + 1);
    REFUSED(xf_skeleton_decode(&skel2, &m, meta, &err), "parameters");
    put32(64, XF_PARAMS_MAX), put32(68, XF_SPECIALS_MAX + 1);
    REFUSED(xf_skeleton_decode(&skel2, &m, meta, &err), "special");
    put32(68, XF_SPECIALS_MAX), put32(76, 1); /* params[0].index = 2^32 and more */
    REFUSED(xf_skeleton_decode(&skel2, &m, meta, &err), "index");
    m = full_skeleton();
    put32(32, 1); /* nr_pages = nr_gfns + 1 */
    REFUSED(xf_skeleton_decode(&skel2, &m, meta, &err), "pages");
    put32(24, 1), put32(32, 1); /* nr_gfns = 2^40 + 1 */
    REFUSED(xf_skeleton_decode(&skel2, &m, meta, &err), "gfns");
    put32(24, 0), put32(28, 0), put32(32, 0), put32(36, 0); /* no gfns */
    REFUSED(xf_skeleton_decode(&skel2, &m, meta, &err), "gfns");
    put32(24, 5);
    REFUSED(xf_skeleton_decode(&skel2, &m, meta, &err), "special page");
    full_skeleton();
    skel.specials[0] = skel.nr_gfns;
    CU_ASSERT(xf_skeleton_encode(&skel, meta) == 0);
    full_skeleton();
    skel.params[0].index = 1ull << 32;
    CU_ASSERT(xf_skeleton_encode(&skel, meta) == 0);
    full_skeleton();
    skel.nr_params++;
    CU_ASSERT(xf_skeleton_encode(&skel, meta) == 0);
}

static void test_state1(void)
{
    struct xf_msg m;
    uint32_t i;

    memset(&state, 0, sizeof(state));
    memset(&state2, 0, sizeof(state2));
    state.tsc = (struct xf_tsc){4, 3, 2, 1};
    state.nr_params = XF_PARAMS_MAX;
    for (i = 0; i < XF_PARAMS_MAX; i++)
        state.params[i] = (struct xf_param){i, UINT64_MAX - i};
    m = msg(xf_state1_encode(&state, meta), 4096);
    CU_ASSERT(m.meta_len == 32 + 16 * XF_PARAMS_MAX);
    TAKEN(xf_state1_decode(&state2, &m, meta, &err));
    CU_ASSERT(!memcmp(&state, &state2, sizeof(state)));
    put32(28, 1);
    REFUSED(xf_state1_decode(&state2, &m, meta, &err), "reserved");
    put32(28, 0), put32(20, 1);
    REFUSED(xf_state1_decode(&state2, &m, meta, &err), "reserved");
    put32(20, 0), put32(24, XF_PARAMS_MAX + 1);
    REFUSED(xf_state1_decode(&state2, &m, meta, &err), "limit");
    put32(24, XF_PARAMS_MAX - 1);
    REFUSED(xf_state1_decode(&state2, &m, meta, &err), "counts");
    put32(24, XF_PARAMS_MAX), put32(36, 1);
    REFUSED(xf_state1_decode(&state2, &m, meta, &err), "index");
    state.nr_params++;
    CU_ASSERT(xf_state1_encode(&state, meta) == 0);
}

static void test_numbers(void)
{
    uint64_t v[3] = {1, 1ull << 40, UINT64_MAX}, got[3] = {0};
    struct xf_msg m = msg(xf_u64s_encode(v, 3, meta), 0);

    CU_ASSERT(m.meta_len == 24);
    TAKEN(xf_u64s_decode(got, 3, &m, meta, &err));
    CU_ASSERT(!memcmp(v, got, sizeof(v)));
    REFUSED(xf_u64s_decode(got, 2, &m, meta, &err), "counts");
    REFUSED(xf_u64s_decode(got, 4, &m, meta, &err), "counts");
    m.payload_len = 1;
    REFUSED(xf_u64s_decode(got, 3, &m, meta, &err), "payload");
    m = msg(xf_u64s_encode(v, 0, meta), 0);
    TAKEN(xf_u64s_decode(got, 0, &m, meta, &err));
    CU_ASSERT(xf_u64s_encode(v, XF_META_MAX / 8 + 1, meta) == 0);
    CU_ASSERT(xf_u64s_decode(v, UINT32_MAX / 8 + 2, &m, meta, NULL) == -1);
}

/* Cut off at every length, in memory that ends there, so that a sanitizer sees each byte too far.
 */
static void test_cut(void)
{
    struct xf_sync sync = {1, 2, 3};
    size_t whole, len;
    int kind, num;

    for (kind = 0; kind < 5; kind++) {
        uint32_t payload = kind == 0 ? many_runs(40) : kind == 3 ? XF_PAYLOAD_MAX : 0;

        memset(&state, 0, sizeof(state));
        state.nr_params = 3;
        whole = kind == 0   ? xf_batch_encode(&batch, meta)
                : kind == 1 ? xf_sync_encode(&sync, meta)
                : kind == 2 ? xf_text_encode(5, "a sentence", meta)
                : kind == 3 ? full_skeleton().meta_len
                            : xf_state1_encode(&state, meta);
        for (len = 0; len <= whole + 1; len++) {
            uint8_t *part = malloc(len ? len : 1);
            struct xf_msg m = msg(len, payload);
            struct xf_err e = {0};
            char text[XF_TEXT_MAX];
            int rc;

            memcpy(part, meta, len);
            rc = kind == 0   ? xf_batch_decode(&batch2, &m, part, XF_GFN_MAX, &e)
                 : kind == 1 ? xf_sync_decode(&sync, &m, part, &e)
                 : kind == 2 ? xf_text_decode(&num, text, &m, part, &e)
                 : kind == 3 ? xf_skeleton_decode(&skel2, &m, part, &e)
                             : xf_state1_decode(&state2, &m, part, &e);
            CU_ASSERT(rc == (len == whole ? 0 : -1));
            CU_ASSERT(e.num == (rc ? EPROTO : 0));
            free(part);
        }
    }
}

int main(void)
{
    static const struct {
        const char *name;
        void (*fn)(void);
    } tests[] = {{"envelope: bytes, every bit flip", test_frame},
                 {"envelope: limits", test_frame_limits},
                 {"hello", test_hello},
                 {"hello of version 1", test_hello1},
                 {"batch: round trip", test_batch},
                 {"batch: limits", test_batch_limits},
                 {"compressed batches", test_packed},
                 {"compressed batches, counts", test_packed_counts},
                 {"batch: order of runs", test_batch_order},
                 {"a change of the guest", test_follow},
                 {"sync", test_sync},
                 {"text", test_text},
                 {"built", test_built},
                 {"skeleton: round trip", test_skeleton},
                 {"skeleton: limits", test_skeleton_limits},
                 {"state of version 1", test_state1},
                 {"numbers", test_numbers},
                 {"cut off at every length", test_cut}};
    unsigned failed;
    CU_pSuite s;
    size_t i;

    if (CU_initialize_registry())
        return 2;
    s = CU_add_suite("wire", NULL, NULL);
    for (i = 0; s && i < sizeof(tests) / sizeof(tests[0]); i++)
        if (!CU_add_test(s, tests[i].name, tests[i].fn))
            return 2;
    CU_basic_run_tests();
    failed = CU_get_number_of_failures() + CU_get_number_of_tests_failed();
    CU_cleanup_registry();
    return failed || !s ? 1 : 0;
}
