/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target for the way from a source's SKELETON to the stream that the distribution's
 * receiver restores from. An input is the message's meta part; its payload is made up, of the
 * lengths that the meta part claims, as long as they are small. Beyond "no crash": the stream is
 * read again here by rules of its own, record by record to its end, and each record lies where
 * its length says.
 */
#include "libxl-ext/sink/stream.h"
#include "tests/fuzz/target.h"
#include "transport/bytes.h"

enum { BUILT, BUILT_ALL };

#define PARTS_MAX 65536u
#define XL_HEADER 48u /* and then its optional data */

static uint32_t get_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Records from `at` until one of type 0; returns where it ends. *types: bits of what came. */
static size_t fuzz_records(const uint8_t *s, size_t len, size_t at, const struct xf_skeleton *k,
                           uint32_t *types)
{
    for (;;) {
        uint32_t type, n;

        MUST(len - at >= 8);
        type = get_le32(s + at);
        n = get_le32(s + at + 4);
        at += 8;
        MUST(n <= len - at && (n + 7 & ~7u) <= len - at);
        MUST(type < 32);
        *types |= 1u << type;
        if (type == 0x11)
            MUST(n == k->cpuid_len);
        if (type == 0x09)
            MUST(n == k->ctx_len);
        if (type == 0x0a)
            MUST(get_le32(s + at) == k->nr_params && n == 8 + 16 * k->nr_params);
        if (type == 0x01)
            MUST(get_le32(s + at) == k->nr_specials);
        at += n + 7 & ~7u;
        if (!type)
            return at;
    }
}

static void fuzz_stream(const uint8_t *s, size_t len, const struct xf_skeleton *k)
{
    uint32_t types = 0;
    size_t at = XL_HEADER;

    MUST(len >= XL_HEADER + 4 && !memcmp(s, "Xen saved domain", 16));
    MUST(get_le32(s + 44) == 4 + k->config_len && get_le32(s + 48) == k->config_len);
    at += 4 + k->config_len;
    MUST(len - at >= 16 && !memcmp(s + at, "LibxlFmt", 8));
    at += 16 + 8; /* and the record that says: libxc's stream follows */
    MUST(len - at >= 40 && get_be32(s + at + 8) == 0x58454e46);
    at += 24;
    MUST(get_le32(s + at + 8) == k->xen_major && get_le32(s + at + 12) == k->xen_minor);
    at = fuzz_records(s, len, at + 16, k, &types);
    MUST(len - at == 8); /* libxl's end */
    MUST(types & 1u << 0x10 && types & 1u << 0x08);
    fuzz_reached(BUILT);
    if (k->cpuid_len && k->msr_len && k->nr_params && k->nr_specials)
        fuzz_reached(BUILT_ALL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t part[4 * PARTS_MAX];
    static struct xf_skeleton k;
    struct xf_msg m = {.type = XF_MSG_SKELETON, .meta_len = (uint32_t)size};
    struct xf_err err = {0};
    struct xf_state state = {0};
    void *out = NULL;
    size_t len = 0;

    if (size < 24 || size > XF_META_MAX)
        return 0;
    /* The payload that fits: the sum of the four lengths, wherever the decoder has them. */
    for (unsigned off = 8; off < 24; off += 4)
        m.payload_len += get_le32(data + off);
    if (xf_skeleton_decode(&k, &m, data, &err)) {
        MUST(err.num && err.text[0]);
        return 0;
    }
    if (k.config_len > PARTS_MAX || k.cpuid_len > PARTS_MAX || k.msr_len > PARTS_MAX ||
        k.ctx_len > PARTS_MAX)
        return 0;
    MUST(!xf_stream_parts(&k, part, &state, &err));
    MUST(!xf_stream_build(
        &(struct xf_skeleton_parts){.skeleton = &k, .config = (char *)part, .state = &state}, &out,
        &len, &err));
    fuzz_stream(out, len, &k);
    xf_state_free(&state);
    free(out);
    return 0;
}

static size_t fuzz_seed(int n, uint8_t out[FUZZ_INPUT_MAX])
{
    struct xf_skeleton k = {.xen_major = 4,
                            .xen_minor = 17,
                            .config_len = 901,
                            .cpuid_len = n ? 0 : 648,
                            .msr_len = n ? 0 : 16,
                            .ctx_len = 5003,
                            .nr_gfns = 0x100000,
                            .nr_pages = 0x40000,
                            .tsc = {1, 2400000, 1ull << 40, 3},
                            .nr_params = n ? 0 : 3,
                            .nr_specials = n ? 0 : 3,
                            .params = {{1, 0xfeffe}, {2, 7}, {35, 1ull << 63}},
                            .specials = {0xfeffc, 0xfeffd, 0xfefff}};

    return n < 2 ? xf_skeleton_encode(&k, out) : 0;
}

FUZZ_TARGET(fuzz_seed, "a stream is built", "a stream of all kinds of records is built")
