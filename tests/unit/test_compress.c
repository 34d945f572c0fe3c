/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When to compress (pages/compress_policy.c), over links and processors that are made up,
 * with a clock that is arithmetic; and compressing itself (pages/pack.c), its output damaged
 * as a peer may send it.
 */
#include "pages/compress_policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "pages/pack.h"
#include "tests/unit/suite.h"

#define MB 1e6
#define BATCH ((double)XF_PAYLOAD_MAX)
#define BOTH (XF_CODEC_BIT(XF_CODEC_LZ4) | XF_CODEC_BIT(XF_CODEC_ZSTD))

/* --- a made-up world: one sending thread, its share of a link, and what pages hold --- */

struct world {
    double link;              /* bytes per second */
    double buffer;            /* bytes that the transport takes without waiting */
    double unpack[XF_CODECS]; /* bytes of pages per second that the sink decompresses; 0: any */
    double pace[XF_CODECS], part[XF_CODECS]; /* of compressing: bytes per second, what is left */
    double sample;                           /* what is left of a sample */
    double stall_s; /* how long the processor is elsewhere during the first batch compressed */
    double now, fill;
    unsigned by[XF_CODECS]; /* batches */
    unsigned samples;
    struct xf_compress_policy p;
};

static struct world text_like(double link)
{
    return (struct world){.link = link,
                          .buffer = 4 * MB,
                          .pace = {0, 500 * MB, 250 * MB},
                          .part = {1, 0.5, 0.3},
                          .sample = 0.58};
}

static struct world incompressible(double link)
{
    struct world w = text_like(link);

    w.pace[XF_CODEC_LZ4] = 3000 * MB;
    w.part[XF_CODEC_LZ4] = w.part[XF_CODEC_ZSTD] = w.sample = 1;
    return w;
}

static void begin(struct world *w, enum xf_compress asked, unsigned can)
{
    struct xf_compress_opts opts = {.asked = asked, .can = can};

    xf_compress_init(&w->p, &opts, 1);
    w->now = w->fill = 0;
    w->samples = 0;
    memset(w->by, 0, sizeof(w->by));
}

static void pass(struct world *w, double s)
{
    w->now += s;
    w->fill -= s * w->link;
    if (w->fill < 0)
        w->fill = 0;
}

static void send_one(struct world *w)
{
    struct xf_compress_batch b = {.bytes = XF_PAYLOAD_MAX};
    double began = w->now, packed, over;

    pass(w, BATCH / (20000 * MB)); /* mapping, zero test */
    packed = w->now;
    if (xf_compress_wants_sample(&w->p)) {
        pass(w, 16384 / w->pace[XF_CODEC_LZ4]);
        w->samples++;
        xf_compress_sampled(&w->p, &b, 16384, (uint64_t)(16384 * w->sample), w->now - packed);
    }
    if (xf_compress_choose(&w->p, &b))
        pass(w, BATCH / w->pace[b.codec]);
    b.pack_s = w->now - packed;
    b.wire = (uint64_t)(BATCH * w->part[b.codec]);
    b.send_cpu_s = (double)b.wire / (5000 * MB);
    b.send_s = w->now;
    pass(w, b.send_cpu_s);
    w->fill += (double)b.wire;
    over = (w->fill - w->buffer) / w->link;
    if (w->unpack[b.codec] > 0 && over < BATCH / w->unpack[b.codec])
        over = BATCH / w->unpack[b.codec];
    if (w->stall_s > 0 && b.codec) {
        pass(w, w->stall_s);
        w->stall_s = 0;
    }
    if (over > 0)
        pass(w, over);
    b.send_s = w->now - b.send_s;
    b.total_s = w->now - began;
    w->by[b.codec]++;
    xf_compress_sent(&w->p, &b, w->now);
}

/* So many MiB; returns the seconds it took. */
static double send_mib(struct world *w, unsigned mib)
{
    double began = w->now;

    for (unsigned i = 0; i < mib / 4; i++)
        send_one(w);
    return w->now - began;
}

/* The same without compression. */
static double plain_s(struct world w, unsigned mib)
{
    begin(&w, XF_COMPRESS_OFF, BOTH);
    return send_mib(&w, mib);
}

static void test_slow_link(void)
{
    struct world w = text_like(58 * MB);

    begin(&w, XF_COMPRESS_AUTO, BOTH);
    CU_ASSERT(send_mib(&w, 256) < 0.4 * plain_s(w, 256));
    CU_ASSERT(w.p.packs && w.p.part > 0.8);
    /* A destination that knows LZ4 alone gets LZ4. */
    begin(&w, XF_COMPRESS_AUTO, XF_CODEC_BIT(XF_CODEC_LZ4));
    CU_ASSERT(send_mib(&w, 256) < 0.6 * plain_s(w, 256));
    CU_ASSERT(w.p.packs && w.p.part == 0);
    CU_ASSERT_EQUAL(w.by[XF_CODEC_ZSTD], 0);
}

/* LZ4 alone waits for the link, zstd alone for the processor: both in turns keep both at work. */
static void test_turns_of_both(void)
{
    struct world w = text_like(58 * MB);
    double plain = plain_s(w, 1024);

    w.pace[XF_CODEC_LZ4] = 290 * MB;
    w.pace[XF_CODEC_ZSTD] = 131 * MB;
    w.part[XF_CODEC_LZ4] = w.sample = 0.48;
    w.part[XF_CODEC_ZSTD] = 0.29;
    begin(&w, XF_COMPRESS_LZ4, BOTH);
    CU_ASSERT(send_mib(&w, 1024) > 0.45 * plain);
    begin(&w, XF_COMPRESS_ZSTD, BOTH);
    CU_ASSERT(send_mib(&w, 1024) > 0.45 * plain);
    begin(&w, XF_COMPRESS_AUTO, BOTH);
    CU_ASSERT(send_mib(&w, 1024) < 0.41 * plain);
    CU_ASSERT(w.p.packs && w.p.part > 0.1 && w.p.part < 0.9);
    CU_ASSERT(w.by[XF_CODEC_LZ4] > 64 && w.by[XF_CODEC_ZSTD] > 64);
}

static void test_middle_link(void)
{
    struct world w = text_like(200 * MB);

    begin(&w, XF_COMPRESS_AUTO, BOTH);
    CU_ASSERT(send_mib(&w, 1024) < 0.62 * plain_s(w, 1024));
    CU_ASSERT(w.by[XF_CODEC_LZ4] > 3 * w.by[XF_CODEC_ZSTD]); /* which it may be in turns with */
}

static void test_fast_link(void)
{
    static const double links[] = {600, 1200, 3000, 100000};

    for (unsigned i = 0; i < 4; i++) {
        struct world w = text_like(links[i] * MB);

        begin(&w, XF_COMPRESS_AUTO, BOTH);
        CU_ASSERT(send_mib(&w, 2048) < 1.03 * plain_s(w, 2048));
        CU_ASSERT_FALSE(w.p.packs);
    }
}

static void test_incompressible(void)
{
    static const double links[] = {20, 58, 500, 3000, 100000};

    for (unsigned i = 0; i < 5; i++) {
        struct world w = incompressible(links[i] * MB);

        begin(&w, XF_COMPRESS_AUTO, BOTH);
        CU_ASSERT(send_mib(&w, 512) < 1.03 * plain_s(w, 512));
        CU_ASSERT_EQUAL(w.by[XF_CODEC_NONE], 128);
        CU_ASSERT(w.samples <= 40); /* after a few, one batch in four */
    }
}

/* What does not compress is followed by what does: that is seen within some batches. */
static void test_turns(void)
{
    struct world w = incompressible(58 * MB);

    begin(&w, XF_COMPRESS_AUTO, BOTH);
    send_mib(&w, 512);
    w.part[XF_CODEC_LZ4] = 0.5;
    w.part[XF_CODEC_ZSTD] = 0.3;
    w.sample = 0.58;
    send_mib(&w, 64);
    CU_ASSERT(w.p.packs && w.by[XF_CODEC_NONE] <= 128 + 8);
}

/* What no prediction knows: the sink takes long. It is tried, left, and tried more rarely. */
static void test_slow_sink(void)
{
    struct world w = text_like(58 * MB);
    unsigned tried;

    w.unpack[XF_CODEC_LZ4] = w.unpack[XF_CODEC_ZSTD] = 50 * MB;
    begin(&w, XF_COMPRESS_AUTO, BOTH);
    CU_ASSERT(send_mib(&w, 4096) < 1.1 * plain_s(w, 4096));
    tried = w.by[XF_CODEC_LZ4] + w.by[XF_CODEC_ZSTD];
    CU_ASSERT(tried > 0);
    CU_ASSERT(send_mib(&w, 4096) < 1.05 * plain_s(w, 4096));
    CU_ASSERT(w.by[XF_CODEC_LZ4] + w.by[XF_CODEC_ZSTD] - tried < tried);
    /* ... and when the sink has become fast it comes back. */
    w.unpack[XF_CODEC_LZ4] = w.unpack[XF_CODEC_ZSTD] = 0;
    send_mib(&w, 8192);
    CU_ASSERT(w.p.packs && w.p.part > 0.8);
}

/* A sink that only zstd is too much for: LZ4 stays, and zstd's part is what the sink can bear. */
static void test_slow_zstd(void)
{
    struct world w = text_like(58 * MB);
    double lz4_s;

    w.unpack[XF_CODEC_ZSTD] = 30 * MB;
    begin(&w, XF_COMPRESS_LZ4, BOTH);
    lz4_s = send_mib(&w, 4096);
    begin(&w, XF_COMPRESS_AUTO, BOTH);
    CU_ASSERT(send_mib(&w, 4096) < 1.1 * lz4_s);
    CU_ASSERT(w.p.packs && w.by[XF_CODEC_LZ4] > 2 * w.by[XF_CODEC_ZSTD]);
}

/* The first trial falls into a moment in which the processor is elsewhere. */
static void test_spoilt_trial(void)
{
    struct world w = text_like(58 * MB);

    w.stall_s = 0.5;
    begin(&w, XF_COMPRESS_AUTO, BOTH);
    CU_ASSERT(send_mib(&w, 1024) < 0.45 * plain_s(w, 1024));
    CU_ASSERT(w.p.packs);
}

/* The link changes under way, in both directions. */
static void test_changes(void)
{
    struct world w = text_like(58 * MB);

    begin(&w, XF_COMPRESS_AUTO, BOTH);
    send_mib(&w, 256);
    CU_ASSERT(w.p.packs && w.p.part > 0.8);
    w.link = 3000 * MB;
    send_mib(&w, 8192); /* only a probe can tell */
    CU_ASSERT_FALSE(w.p.packs);
    w.link = 30 * MB;
    send_mib(&w, 256);
    CU_ASSERT(w.p.packs && w.p.part > 0.8);
    /* Pages that cannot be compressed go as they are, and change nothing for the others. */
    w.sample = 1;
    w.by[XF_CODEC_NONE] = 0;
    send_mib(&w, 64);
    CU_ASSERT_EQUAL(w.by[XF_CODEC_NONE], 16);
    CU_ASSERT(w.p.packs && w.p.part > 0.8);
    w.sample = 0.58;
    send_mib(&w, 64);
    CU_ASSERT_EQUAL(w.by[XF_CODEC_NONE], 16);
}

/* Samples that promise what the rest does not keep: it is found out. */
static void test_misleading(void)
{
    struct world w = text_like(58 * MB);

    w.part[XF_CODEC_LZ4] = w.part[XF_CODEC_ZSTD] = 1;
    begin(&w, XF_COMPRESS_AUTO, BOTH);
    CU_ASSERT(send_mib(&w, 4096) < 1.05 * plain_s(w, 4096));
    CU_ASSERT_FALSE(w.p.packs);
    CU_ASSERT(w.by[XF_CODEC_LZ4] + w.by[XF_CODEC_ZSTD] > 0);
    CU_ASSERT(w.by[XF_CODEC_LZ4] + w.by[XF_CODEC_ZSTD] < 64);
}

/* A probe of what might be faster costs little where it is not. */
static void test_probes(void)
{
    struct world w = text_like(230 * MB);
    double at_once;

    w.pace[XF_CODEC_LZ4] = 300 * MB; /* the processor is the limit, not the link */
    w.part[XF_CODEC_LZ4] = 0.3;
    w.pace[XF_CODEC_ZSTD] = 100 * MB;
    begin(&w, XF_COMPRESS_LZ4, BOTH);
    at_once = send_mib(&w, 16384);
    CU_ASSERT_EQUAL(w.by[XF_CODEC_LZ4], 4096);
    begin(&w, XF_COMPRESS_AUTO, BOTH);
    CU_ASSERT(send_mib(&w, 16384) < 1.03 * at_once);
    CU_ASSERT(w.by[XF_CODEC_NONE] > 3); /* it has probed */
}

static void test_asked(void)
{
    static const struct {
        enum xf_compress asked;
        unsigned can;
        enum xf_codec gets;
    } list[] = {{XF_COMPRESS_OFF, BOTH, XF_CODEC_NONE},
                {XF_COMPRESS_AUTO, 0, XF_CODEC_NONE},
                {XF_COMPRESS_LZ4, 0, XF_CODEC_NONE},
                {XF_COMPRESS_LZ4, XF_CODEC_BIT(XF_CODEC_ZSTD), XF_CODEC_NONE},
                {XF_COMPRESS_ZSTD, XF_CODEC_BIT(XF_CODEC_LZ4), XF_CODEC_NONE},
                {XF_COMPRESS_LZ4, BOTH, XF_CODEC_LZ4},
                {XF_COMPRESS_ZSTD, BOTH, XF_CODEC_ZSTD}};

    for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        struct world w = text_like(58 * MB);

        begin(&w, list[i].asked, list[i].can);
        CU_ASSERT_EQUAL(xf_compress_possible(&w.p), list[i].gets != XF_CODEC_NONE);
        send_mib(&w, 64);
        CU_ASSERT_EQUAL(w.by[list[i].gets], 16);
    }
}

/* --- compressing --- */

#define PAGES XF_BATCH_PAGES

static struct xf_packer *packer;
static struct xf_unpacker *unpacker;
static uint8_t *pages, *back; /* PAGES, and a page behind them that nobody writes */

static uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* n pages: words out of a few, or nothing that repeats. */
static void make_pages(unsigned n, bool text)
{
    uint64_t x = 88172645463325252u;

    for (size_t i = 0; i < (size_t)n * XF_PAGE_SIZE; i += 8) {
        uint64_t r = next_random(&x);

        if (text)
            r = ((r % 200 * 0x9e3779b97f4a7c15u) & 0x0f0f0f0f0f0f0f0fu) + 0x6161616161616161u;
        memcpy(pages + i, &r, 8);
    }
}

/* Decompress what xf_pack() made; 0 or -1. */
static int unpack(const struct xf_pack *k, const uint8_t *from, unsigned n, struct xf_err *err)
{
    uint8_t *to = back;

    for (uint32_t i = 0; i < k->nr_blocks; i++) {
        uint32_t raw = xf_pack_raw(n, i);

        if (k->len[i] == raw)
            memcpy(to, from, raw);
        else if (xf_unpack(unpacker, k->codec, from, k->len[i], to, raw, err))
            return -1;
        from += k->len[i];
        to += raw;
    }
    return 0;
}

static void test_round_trip(void)
{
    static const unsigned sizes[] = {1, 2, 63, 64, 65, 500, 1024};
    struct xf_err err = {0};
    struct xf_pack k;
    uint8_t *out;
    uint32_t len;

    for (unsigned c = XF_CODEC_LZ4; c < XF_CODECS; c++) {
        for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            unsigned n = sizes[i];
            struct iovec whole = {pages, (size_t)n * XF_PAGE_SIZE};
            struct iovec parts[3] = {{pages, XF_PAGE_SIZE},
                                     {pages + XF_PAGE_SIZE, (size_t)(n / 2) * XF_PAGE_SIZE},
                                     {pages + (size_t)(n / 2 + 1) * XF_PAGE_SIZE,
                                      (size_t)(n - n / 2 - 1) * XF_PAGE_SIZE}};

            make_pages(n, true);
            for (unsigned still = 0; still < 2; still++) {
                memset(back, 0, (size_t)PAGES * XF_PAGE_SIZE);
                CU_ASSERT_FATAL(xf_pack(packer, c, &whole, 1, still, n, &k, &out, &len));
                CU_ASSERT_EQUAL(k.nr_blocks, xf_pack_blocks(n));
                CU_ASSERT(len < n * XF_PAGE_SIZE * 7 / 10);
                CU_ASSERT_EQUAL(unpack(&k, out, n, &err), 0);
                CU_ASSERT(!memcmp(back, pages, (size_t)n * XF_PAGE_SIZE));
            }
            if (n < 4)
                continue;
            memset(back, 0, (size_t)PAGES * XF_PAGE_SIZE);
            CU_ASSERT(xf_pack(packer, c, parts, 3, false, n, &k, &out, &len));
            CU_ASSERT_EQUAL(unpack(&k, out, n, &err), 0);
            CU_ASSERT(!memcmp(back, pages, (size_t)n * XF_PAGE_SIZE));
        }
        /* No gain, no packing; but a batch of which half gains is packed, the rest as it is. */
        make_pages(256, false);
        CU_ASSERT_FALSE(
            xf_pack(packer, c, &(struct iovec){pages, 1u << 20}, 1, false, 256, &k, &out, &len));
        make_pages(128, true);
        CU_ASSERT(
            xf_pack(packer, c, &(struct iovec){pages, 1u << 20}, 1, false, 256, &k, &out, &len));
        CU_ASSERT(k.len[0] < XF_PACK_BYTES && k.len[3] == XF_PACK_BYTES);
        CU_ASSERT_EQUAL(unpack(&k, out, 256, &err), 0);
        CU_ASSERT(!memcmp(back, pages, 1u << 20));
    }
}

static void test_sample(void)
{
    struct iovec one = {pages, XF_PAGE_SIZE}, many[3] = {{pages, 4 * XF_PAGE_SIZE},
                                                         {pages + 8192, XF_PAGE_SIZE},
                                                         {pages + 65536, 64 * XF_PAGE_SIZE}};
    uint64_t bytes, packed;

    make_pages(128, true);
    xf_pack_sample(packer, many, 3, &bytes, &packed);
    CU_ASSERT(bytes >= 2 * XF_PAGE_SIZE && bytes <= 16384);
    CU_ASSERT(packed < bytes * 9 / 10);
    xf_pack_sample(packer, &one, 1, &bytes, &packed);
    CU_ASSERT(bytes == 2 * XF_PAGE_SIZE && packed < bytes * 9 / 10);
    make_pages(128, false);
    xf_pack_sample(packer, many, 3, &bytes, &packed);
    CU_ASSERT(packed > bytes * 9 / 10 && packed <= bytes);
}

/* Whatever comes instead of a block, it is refused or it gives its pages, and no byte more. */
static void one_lie(unsigned codec, const uint8_t *from, uint32_t len, uint32_t raw)
{
    struct xf_err err = {0};
    int rc;

    memset(back + raw, 0xa5, XF_PAGE_SIZE);
    rc = xf_unpack(unpacker, codec, from, len, back, raw, &err);
    CU_ASSERT(rc == 0 || (rc == -1 && err.num == EBADMSG));
    for (unsigned i = 0; i < XF_PAGE_SIZE; i++)
        if (back[raw + i] != 0xa5) {
            CU_FAIL("bytes behind the block were written");
            break;
        }
}

static void test_lies(void)
{
    uint32_t raw = 4 * XF_PAGE_SIZE, len;
    struct iovec iov = {pages, raw};
    struct xf_err err = {0};
    struct xf_pack k;
    uint8_t *out, *block;
    uint64_t x = 1234567;

    make_pages(4, true);
    for (unsigned c = XF_CODEC_LZ4; c < XF_CODECS; c++) {
        CU_ASSERT_FATAL(xf_pack(packer, c, &iov, 1, true, 4, &k, &out, &len));
        for (uint32_t n = 0; n < len; n += n < 64 ? 1 : 97) { /* cut off, in a buffer as long */
            block = malloc(n ? n : 1);
            CU_ASSERT_PTR_NOT_NULL_FATAL(block);
            memcpy(block, out, n);
            CU_ASSERT_EQUAL(xf_unpack(unpacker, c, block, n, back, raw, &err), -1);
            free(block);
        }
        /* More or less than its pages. */
        CU_ASSERT_EQUAL(xf_unpack(unpacker, c, out, len, back, raw + XF_PAGE_SIZE, &err), -1);
        CU_ASSERT_EQUAL(xf_unpack(unpacker, c, out, len, back, raw - 1, &err), -1);
        one_lie(c, out, len, raw - XF_PAGE_SIZE);
        one_lie(c, out, len, 1);
        for (unsigned i = 0; i < 3000; i++) { /* damaged */
            uint32_t at = (uint32_t)(next_random(&x) % len);
            uint8_t was = out[at];

            out[at] = (uint8_t)(x >> 32);
            one_lie(c, out, len, raw);
            out[at] = was;
        }
        one_lie(c, pages, raw, raw);
        one_lie(c == XF_CODEC_LZ4 ? XF_CODEC_ZSTD : XF_CODEC_LZ4, out, len, raw);
    }
}

/* Of zstd's formats only one frame of today's is taken. */
static void test_zstd_frames(void)
{
    static const uint8_t skippable[8] = {0x50, 0x2a, 0x4d, 0x18};
    size_t cap = ZSTD_compressBound(XF_PACK_BYTES), one, two;
    uint8_t *buf = malloc(2 * cap);
    struct xf_err err = {0};

    CU_ASSERT_PTR_NOT_NULL_FATAL(buf);
    make_pages(2, true);
    one = ZSTD_compress(buf, cap, pages, XF_PAGE_SIZE, 1);
    CU_ASSERT_EQUAL(
        xf_unpack(unpacker, XF_CODEC_ZSTD, buf, (uint32_t)one, back, XF_PAGE_SIZE, &err), 0);
    two = ZSTD_compress(buf + one, cap, pages + XF_PAGE_SIZE, XF_PAGE_SIZE, 1);
    CU_ASSERT_EQUAL(xf_unpack(unpacker, XF_CODEC_ZSTD, buf, (uint32_t)(one + two), back,
                              2 * XF_PAGE_SIZE, &err),
                    -1);
    memmove(buf + sizeof(skippable), buf, one);
    memcpy(buf, skippable, sizeof(skippable));
    CU_ASSERT_EQUAL(xf_unpack(unpacker, XF_CODEC_ZSTD, buf, (uint32_t)(one + sizeof(skippable)),
                              back, XF_PAGE_SIZE, &err),
                    -1);
    free(buf);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a slow link", test_slow_link},
        {"a link in between", test_middle_link},
        {"a fast link", test_fast_link},
        {"nothing to gain", test_incompressible},
        {"what compresses comes later", test_turns},
        {"LZ4 and zstd in turns", test_turns_of_both},
        {"a sink that decompresses slowly", test_slow_sink},
        {"a sink that zstd alone is too much for", test_slow_zstd},
        {"a trial that is spoilt", test_spoilt_trial},
        {"link and contents change", test_changes},
        {"misleading samples", test_misleading},
        {"probes", test_probes},
        {"what was asked for, what the peer can", test_asked},
        {"there and back", test_round_trip},
        {"samples", test_sample},
        {"lies", test_lies},
        {"zstd's other frames", test_zstd_frames},
        CU_TEST_INFO_NULL,
    };
    int rc;

    pages = malloc((PAGES + 1) * XF_PAGE_SIZE);
    back = malloc((PAGES + 1) * XF_PAGE_SIZE);
    if (!pages || !back || xf_packer_new(&packer, NULL) || xf_unpacker_new(&unpacker, NULL))
        return 2;
    rc = run_suite("compression", tests);
    xf_packer_free(packer);
    xf_unpacker_free(unpacker);
    free(pages);
    free(back);
    return rc;
}
