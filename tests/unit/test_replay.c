/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fuzz target without a fuzzer: every seed whole, cut off at every length and with
 * every bit flipped, on any compiler.
 */
#define XF_FUZZ_REPLAY
#include "tests/fuzz/fuzz_wire.c"

#include "tests/unit/replay.h"

static void test_seeds(void)
{
    uint8_t whole[XF_SEED_MAX];
    int n;

    for (n = 0; n < XF_SEEDS; n++) {
        size_t len = xf_seed(n, whole), i;

        CU_ASSERT(len >= XF_FRAME_BYTES);
        for (i = 0; i <= len; i++)
            LLVMFuzzerTestOneInput(whole, i);
        for (i = 0; i < len * 8; i++) {
            whole[i / 8] ^= (uint8_t)(1u << i % 8);
            LLVMFuzzerTestOneInput(whole, len);
            whole[i / 8] ^= (uint8_t)(1u << i % 8);
        }
    }
}

/* Cheap random damage with a fixed seed: several bytes at once, lengths out of step. */
static void test_damage(void)
{
    uint8_t buf[XF_SEED_MAX];
    uint32_t x = 12345;
    int round;

    for (round = 0; round < 20000; round++) {
        size_t len = xf_seed(round % XF_SEEDS, buf);
        int k;

        for (k = 0; k < 3; k++) {
            x = x * 1664525u + 1013904223u;
            buf[(x >> 8) % len] = (uint8_t)(x >> 24);
        }
        LLVMFuzzerTestOneInput(buf, len - (x & 3));
    }
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"every seed, cut and flipped", test_seeds},
        {"random damage", test_damage},
        CU_TEST_INFO_NULL,
    };

    return replay_main(argc, argv, "replay", tests);
}
