/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The encoding of a piece of a cold move's stream. */
#include <errno.h>
#include <string.h>

#include "tests/unit/suite.h"
#include "transport/wire.h"

static uint8_t meta[64];
static struct xf_chunk out;
static struct xf_err err;

static struct xf_msg encoded(uint64_t offset, uint32_t flags, uint32_t payload)
{
    const struct xf_chunk c = {offset, flags};

    return (struct xf_msg){.type = XF_MSG_STREAM,
                           .meta_len = (uint32_t)xf_chunk_encode(&c, meta),
                           .payload_len = payload};
}

static bool taken(const struct xf_msg *m)
{
    xf_clear(&err);
    return !xf_chunk_decode(&out, m, meta, &err);
}

static void refused(const struct xf_msg *m, const char *words)
{
    CU_ASSERT(!taken(m) && err.num == EPROTO && err.whose == XF_PEER && strstr(err.text, words));
}

static void test_round_trip(void)
{
    struct xf_msg m = encoded(1ull << 40, 0, 4096);

    CU_ASSERT_EQUAL(m.meta_len, 16);
    CU_ASSERT(taken(&m) && out.offset == 1ull << 40 && !out.flags);
    m = encoded(5, XF_CHUNK_LAST, 1);
    CU_ASSERT(taken(&m) && out.offset == 5 && out.flags == XF_CHUNK_LAST);
    m = encoded(5, XF_CHUNK_LAST, 0);
    CU_ASSERT(taken(&m));
    m = encoded(0, XF_CHUNK_PROBE, XF_PAYLOAD_MAX);
    CU_ASSERT(taken(&m) && out.flags == XF_CHUNK_PROBE);
}

static void test_refused(void)
{
    struct xf_msg m = encoded(0, 0, 0);

    refused(&m, "is empty");
    m = encoded(0, XF_CHUNK_PROBE, 0);
    refused(&m, "is empty");
    m = encoded(0, 4, 1);
    refused(&m, "invalid flags");
    m = encoded(0, XF_CHUNK_PROBE | XF_CHUNK_LAST, 1);
    refused(&m, "invalid flags");
    m = encoded(1, XF_CHUNK_PROBE, 1);
    refused(&m, "invalid flags");
    m = encoded(0, 0, 1);
    meta[12] = 1;
    refused(&m, "reserved");
    meta[12] = 0;
    m.meta_len = 15;
    refused(&m, "");
    m.meta_len = 17;
    refused(&m, "");
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"round trip", test_round_trip}, {"refused", test_refused}, CU_TEST_INFO_NULL};

    return run_suite("wire_cold", tests);
}
