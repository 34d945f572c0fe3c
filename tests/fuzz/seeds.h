/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One valid message of each kind, for the fuzzer to begin with and for the replay to
 * damage. Not a test by itself.
 */
#ifndef XF_SEEDS_H
#define XF_SEEDS_H

#include <string.h>

#include "transport/frame.h"
#include "transport/state.h"
#include "transport/wire.h"

#define XF_SEED_MAX (XF_FRAME_BYTES + 4096u)
#define XF_SEEDS 18
#define SEED_STATE1 240u /* not a type of the wire: a STATE of version 1 */

static inline size_t seed_frame(uint8_t *out, uint16_t type, size_t meta_len, uint32_t payload)
{
    struct xf_msg m = {type, 0, (uint32_t)meta_len, payload};

    if (xf_frame_encode(out, &m, out + XF_FRAME_BYTES, NULL))
        return 0;
    return XF_FRAME_BYTES + meta_len;
}

/* Write seed n (0..XF_SEEDS-1) and return its length. */
static inline size_t xf_seed(int n, uint8_t out[XF_SEED_MAX])
{
    static const struct xf_skeleton skeleton = {.xen_major = 4,
                                                .xen_minor = 17,
                                                .config_len = 900,
                                                .cpuid_len = 640,
                                                .msr_len = 16,
                                                .ctx_len = 5000,
                                                .nr_gfns = 0x100000,
                                                .nr_pages = 0x40000,
                                                .tsc = {1, 2400000, 1ull << 40, 3},
                                                .nr_params = 3,
                                                .nr_specials = 3,
                                                .params = {{1, 0xfeffe}, {2, 7}, {35, 1ull << 63}},
                                                .specials = {0xfeffc, 0xfeffd, 0xfefff}};
    static const struct xf_state1 state1 = {
        .tsc = {1, 2400000, 9, 1}, .nr_params = 2, .params = {{5, 6}, {7, 8}}};
    static const struct xf_pieces state = {.last = false, /* the third goes on */
                                           .nr = 3,
                                           .list = {{XF_PART_TSC, XF_PART_MUST, 24, 0, 24},
                                                    {XF_PART_HVM_CONTEXT, 1, 8000, 0, 8000},
                                                    {99, 0, 1u << 20, 0, 168}}};
    static const struct xf_batch batch = {
        .round = 2,
        .nr_runs = 3,
        .nr_pages = 12,
        .data_pages = 6,
        .sum = 0x1122334455667788ull,
        .runs = {{16, 5, XF_RUN_DATA}, {21, 6, XF_RUN_ZERO}, {0xffff, 1, XF_RUN_DATA}}};
    static const struct xf_batch two_blocks = {
        .round = 1,
        .nr_runs = 2,
        .nr_pages = 75,
        .data_pages = 70,
        .runs = {{3, 70, XF_RUN_DATA}, {100, 5, XF_RUN_ZERO}}};
    static const struct xf_pack pack = {XF_CODEC_LZ4, 2, {70000, 6 * XF_PAGE_SIZE}};
    static const struct xf_batch absent = {
        .nr_runs = 1, .nr_pages = 1, .runs = {{0, 1, XF_RUN_ABSENT}}};
    static const struct xf_sync sync = {7, 0, 1ull << 33};
    static const uint64_t numbers[3] = {1, 1ull << 40, UINT64_MAX};
    static const struct xf_chan_hello hello = {.version = XF_WIRE_VERSION,
                                               .oldest = 1,
                                               .id = {XF_ROLE_BULK, 2},
                                               .channels = 4,
                                               .encrypt = true},
                                      first = {1, 1, 0, {XF_ROLE_URGENT, 0}, 4, true, 0};
    static const struct xf_extents set = {
        .flags = XF_EXTENTS_LAST, .nr = 3, .list = {{0, 1}, {2, 0x1000}, {0xfffff, 1}}};
    static const struct xf_request request = {.nr = 3, .gfns = {0xfffff, 0, 17}};
    static const struct xf_pulled pulled = {.missing = 1000,
                                            .faults = 30,
                                            .requested = 20,
                                            .median_ns = 45000,
                                            .p99_ns = 1u << 20,
                                            .populate = {9, 8000},
                                            .evict = {9, 7000},
                                            .prep = {9, 6000},
                                            .copy = {9, 5000},
                                            .held_ns = 3000000000,
                                            .has_latency = true,
                                            .latency = {20, 9, 1}};
    static const struct xf_follow follow = {.name = "web2", .nr_vcpus = 11, .vcpus = {5, 4}};
    static const struct xf_chunk chunk = {1ull << 33, XF_CHUNK_LAST}, probe = {0, XF_CHUNK_PROBE};
    uint8_t *meta = out + XF_FRAME_BYTES;

    switch (n) {
    case 0:
        return seed_frame(out, XF_MSG_BATCH, xf_batch_encode(&batch, meta), 6 * XF_PAGE_SIZE);
    case 1:
        return seed_frame(out, XF_MSG_BATCH, xf_batch_encode(&absent, meta), 0);
    case 2:
        return seed_frame(out, XF_MSG_SYNC, xf_sync_encode(&sync, meta), 0);
    case 3:
        return seed_frame(out, XF_MSG_ERROR,
                          xf_text_encode(12,
                                         "host b\xc3\xbc"
                                         "cher\n has no \xe2\x82\xac memory",
                                         meta),
                          0);
    case 4:
        return seed_frame(out, XF_MSG_SKELETON, xf_skeleton_encode(&skeleton, meta), 6556);
    case 5:
        return seed_frame(out, XF_MSG_STATE, xf_pieces_encode(&state, meta), 8192);
    case 6:
        return seed_frame(out, XF_MSG_PING, xf_u64s_encode(numbers, 3, meta), 0);
    case 7:
        return seed_frame(out, XF_MSG_GO, 0, 0);
    case 8:
        xf_chan_hello_encode(out, &hello);
        return XF_HELLO_BYTES;
    case 9:
        return seed_frame(out, XF_MSG_ABSENT, xf_extents_encode(&set, meta), 0);
    case 10:
        return seed_frame(out, XF_MSG_REQUEST, xf_request_encode(&request, meta), 0);
    case 12:
        return seed_frame(out, XF_MSG_PACKED, xf_packed_encode(&pack, &two_blocks, meta),
                          70000 + 6 * XF_PAGE_SIZE);
    case 11:
        return seed_frame(out, XF_MSG_PULLED, xf_pulled_encode(&pulled, meta), 0);
    case 13:
        return seed_frame(out, XF_MSG_FOLLOW, xf_follow_encode(&follow, meta), 0);
    case 14:
        return seed_frame(out, SEED_STATE1, xf_state1_encode(&state1, meta), 8192);
    case 15:
        xf_chan_hello_encode(out, &first);
        return XF_HELLO_BYTES;
    case 16:
        return seed_frame(out, XF_MSG_STREAM, xf_chunk_encode(&chunk, meta), 0);
    case 17:
        return seed_frame(out, XF_MSG_STREAM, xf_chunk_encode(&probe, meta), 4096);
    }
    return 0;
}

#endif
