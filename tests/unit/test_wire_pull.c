/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The messages of post-copy (transport/wire.h): bytes as docs/wire-protocol.md says, round
 * trips, each limit from both sides, cut off at every length.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/suite.h"
#include "transport/bytes.h"
#include "transport/wire.h"

static struct xf_extents set, set2;
static struct xf_request req, req2;
static uint8_t meta[XF_META_MAX];

static struct xf_msg msg(size_t len)
{
    return (struct xf_msg){.meta_len = (uint32_t)len};
}

#define REFUSED(call, word)                                                                        \
    do {                                                                                           \
        struct xf_err err = {0};                                                                   \
        CU_ASSERT((call) == -1);                                                                   \
        CU_ASSERT(err.num == EPROTO);                                                              \
        CU_ASSERT(strstr(err.text, word) != NULL);                                                 \
    } while (0)

static void test_extents(void)
{
    static const uint8_t bytes[] = {1, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
                                    0, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    struct xf_err e = {0};
    struct xf_msg m;

    set = (struct xf_extents){XF_EXTENTS_LAST, 2, {{5, 1}, {0x100000006, 256}}};
    m = msg(xf_extents_encode(&set, meta));
    CU_ASSERT(m.meta_len == sizeof(bytes) && !memcmp(meta, bytes, sizeof(bytes)));
    CU_ASSERT(xf_extents_decode(&set2, &m, meta, XF_GFN_MAX, &e) == 0 && e.num == 0);
    CU_ASSERT(set2.flags == 1 && set2.nr == 2 && set2.list[1].gfn == 0x100000006 &&
              set2.list[1].count == 256);
    /* An empty set is one, and the largest is taken. */
    set = (struct xf_extents){0};
    m = msg(xf_extents_encode(&set, meta));
    CU_ASSERT(m.meta_len == 8 && xf_extents_decode(&set2, &m, meta, 1, &e) == 0 && !set2.nr);
    set.nr = XF_EXTENTS_MAX;
    for (uint32_t i = 0; i < set.nr; i++)
        set.list[i] = (struct xf_extent){i * 2, 2}; /* neighbours, not overlapping */
    m = msg(xf_extents_encode(&set, meta));
    CU_ASSERT(m.meta_len == 8 + 16 * XF_EXTENTS_MAX);
    CU_ASSERT(xf_extents_decode(&set2, &m, meta, 2 * XF_EXTENTS_MAX, &e) == 0);
    REFUSED(xf_extents_decode(&set2, &m, meta, 2 * XF_EXTENTS_MAX - 1, &err), "within");
}

static void test_extents_limits(void)
{
    struct xf_msg m;

    set = (struct xf_extents){0, 2, {{8, 4}, {12, 1}}};
    m = msg(xf_extents_encode(&set, meta));
    REFUSED(xf_extents_decode(&set2, &m, meta, 12, &err), "within");
    put_le64(meta + 24, 11);
    REFUSED(xf_extents_decode(&set2, &m, meta, 100, &err), "follow");
    put_le64(meta + 24, 12);
    put_le64(meta + 32, 0);
    REFUSED(xf_extents_decode(&set2, &m, meta, 100, &err), "within");
    put_le64(meta + 32, UINT64_MAX); /* gfn + count wraps around */
    REFUSED(xf_extents_decode(&set2, &m, meta, 100, &err), "within");
    put_le64(meta + 32, 1);
    put_le32(meta, 2);
    REFUSED(xf_extents_decode(&set2, &m, meta, 100, &err), "flags");
    put_le32(meta, 0);
    put_le32(meta + 4, 1);
    REFUSED(xf_extents_decode(&set2, &m, meta, 100, &err), "counts");
    put_le32(meta + 4, XF_EXTENTS_MAX + 1);
    REFUSED(xf_extents_decode(&set2, &m, meta, 100, &err), "limit");
    put_le32(meta + 4, 2);
    m.payload_len = 1;
    REFUSED(xf_extents_decode(&set2, &m, meta, 100, &err), "payload");
    set.nr = XF_EXTENTS_MAX + 1;
    CU_ASSERT(xf_extents_encode(&set, meta) == 0);
    set = (struct xf_extents){0, 1, {{XF_GFN_MAX - 1, 2}}};
    CU_ASSERT(xf_extents_encode(&set, meta) == 0);
}

static void test_request(void)
{
    static const uint8_t bytes[] = {2, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0,
                                    0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0};
    struct xf_err e = {0};
    struct xf_msg m;

    req = (struct xf_request){2, {9, 3}};
    m = msg(xf_request_encode(&req, meta));
    CU_ASSERT(m.meta_len == sizeof(bytes) && !memcmp(meta, bytes, sizeof(bytes)));
    CU_ASSERT(xf_request_decode(&req2, &m, meta, 10, &e) == 0 && e.num == 0);
    CU_ASSERT(req2.nr == 2 && req2.gfns[0] == 9 && req2.gfns[1] == 3);
    REFUSED(xf_request_decode(&req2, &m, meta, 9, &err), "beyond");
    put_le32(meta + 4, 1);
    REFUSED(xf_request_decode(&req2, &m, meta, 10, &err), "reserved");
    put_le32(meta + 4, 0);
    put_le32(meta, 3);
    REFUSED(xf_request_decode(&req2, &m, meta, 10, &err), "counts");
    put_le32(meta, 0);
    REFUSED(xf_request_decode(&req2, &m, meta, 10, &err), "allowed");
    put_le32(meta, XF_REQUEST_MAX + 1);
    REFUSED(xf_request_decode(&req2, &m, meta, 10, &err), "allowed");
    req.nr = 0;
    CU_ASSERT(xf_request_encode(&req, meta) == 0);
    req.nr = XF_REQUEST_MAX + 1;
    CU_ASSERT(xf_request_encode(&req, meta) == 0);
    req = (struct xf_request){1, {XF_GFN_MAX}};
    CU_ASSERT(xf_request_encode(&req, meta) == 0);
}

static void test_pulled(void)
{
    struct xf_pulled p = {1,      2,        3,        4,  UINT64_MAX, {6, 7},
                          {8, 9}, {10, 11}, {12, 13}, 14, false,      {0}};
    struct xf_pulled q = {0};
    struct xf_err e = {0};
    struct xf_msg m = msg(xf_pulled_encode(&p, meta));

    CU_ASSERT(m.meta_len == 112 && meta[0] == 1 && meta[8] == 2);
    for (unsigned i = 5; i < XF_PULLED_NUMBERS; i++)
        CU_ASSERT_EQUAL(meta[8 * i], i + 1);
    CU_ASSERT(xf_pulled_decode(&q, &m, meta, &e) == 0 &&
              !memcmp(&p, &q, offsetof(struct xf_pulled, has_latency)));
    CU_ASSERT_FALSE(q.has_latency);
    m.meta_len = 40;
    REFUSED(xf_pulled_decode(&q, &m, meta, &err), "counts");
}

/* The latencies follow only where they were asked for; older peers ask with an empty PING. */
static void test_latency(void)
{
    struct xf_pulled p = {.missing = 1, .held_ns = 14, .has_latency = true}, q;
    const uint64_t wants = XF_PING_LATENCY, wants_other = ~(uint64_t)XF_PING_LATENCY;
    struct xf_err e = {0};
    struct xf_msg m;

    for (unsigned i = 0; i < XF_LATENCY_BUCKETS; i++)
        p.latency[i] = 100 + i;
    m = msg(xf_pulled_encode(&p, meta));
    CU_ASSERT(m.meta_len == 8 * (14 + 24) && meta[8 * 14] == 100 && meta[8 * 37] == 123);
    CU_ASSERT(xf_pulled_decode(&q, &m, meta, &e) == 0 && q.has_latency && q.held_ns == 14);
    CU_ASSERT(!memcmp(p.latency, q.latency, sizeof(p.latency)));
    m.meta_len -= 8;
    REFUSED(xf_pulled_decode(&q, &m, meta, &err), "counts");

    m = msg(xf_u64s_encode(&wants, 1, meta));
    CU_ASSERT_TRUE(xf_ping_wants_latency(&m, meta));
    m.meta_len = 7;
    CU_ASSERT_FALSE(xf_ping_wants_latency(&m, meta));
    m.meta_len = 0;
    CU_ASSERT_FALSE(xf_ping_wants_latency(&m, meta));
    m = msg(xf_u64s_encode(&wants_other, 1, meta));
    CU_ASSERT_FALSE(xf_ping_wants_latency(&m, meta));
}

/* Cut off at every length, in memory that ends there, so that a sanitizer sees each byte too
 * far. */
static void test_cut(void)
{
    for (unsigned kind = 0; kind < 2; kind++) {
        size_t whole;

        set = (struct xf_extents){0, 3, {{1, 1}, {2, 1}, {9, 9}}};
        req = (struct xf_request){5, {1, 2, 3, 4, 5}};
        whole = kind ? xf_request_encode(&req, meta) : xf_extents_encode(&set, meta);
        for (size_t len = 0; len <= whole + 1; len++) {
            uint8_t *part = malloc(len ? len : 1);
            struct xf_msg m = msg(len);
            struct xf_err e = {0};
            int rc;

            CU_ASSERT_FATAL(part != NULL);
            memcpy(part, meta, len);
            rc = kind ? xf_request_decode(&req2, &m, part, 100, &e)
                      : xf_extents_decode(&set2, &m, part, 100, &e);
            CU_ASSERT(rc == (len == whole ? 0 : -1) && e.num == (rc ? EPROTO : 0));
            free(part);
        }
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a set of pages: round trip", test_extents},
        {"a set of pages: limits", test_extents_limits},
        {"request", test_request},
        {"pulled", test_pulled},
        {"PULLED with latencies", test_latency},
        {"cut off at every length", test_cut},
        CU_TEST_INFO_NULL,
    };

    return run_suite("wire, post-copy", tests);
}
