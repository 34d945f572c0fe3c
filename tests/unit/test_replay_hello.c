/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fuzz target of hello, reply and record without a fuzzer: the seeds whole, cut off, with every
 * bit flipped and with random damage.
 */
#include "tests/fuzz/fuzz_hello.c"

#include "tests/unit/replay.h"

#define SEEDS 3

static uint8_t whole[FUZZ_INPUT_MAX];

static void test_seeds(void)
{
    for (unsigned n = 0; n < SEEDS; n++) {
        size_t len = fuzz_seed((int)n, whole);
        uint8_t *b = malloc(len);

        memcpy(b, whole, len);
        for (size_t i = 0; i <= len; i++)
            LLVMFuzzerTestOneInput(b, i);
        for (size_t i = 8; i < len * 8; i++) {
            b[i / 8] ^= (uint8_t)(1u << i % 8);
            LLVMFuzzerTestOneInput(b, len);
            b[i / 8] ^= (uint8_t)(1u << i % 8);
        }
        free(b);
    }
}

/* Pieces of the text doubled, moved and overwritten, with a fixed seed. */
static void test_damage(void)
{
    uint8_t b[2048];
    uint32_t x = 99;

    for (int round = 0; round < 20000; round++) {
        size_t len = fuzz_seed(round % SEEDS, whole);

        memcpy(b, whole, len);
        for (int k = 0; k < 2; k++) {
            size_t from, to, n;

            x = x * 1664525u + 1013904223u;
            from = 1 + (x >> 8) % (len - 1);
            x = x * 1664525u + 1013904223u;
            to = 1 + (x >> 8) % (len - 1);
            n = (x >> 20) % 30;
            if (from + n <= len && to + n <= len)
                memmove(b + to, b + from, n);
        }
        LLVMFuzzerTestOneInput(b, len);
    }
    CU_PASS("nothing that the target demands was broken");
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"seeds, cut and flipped", test_seeds},
        {"random damage", test_damage},
        CU_TEST_INFO_NULL,
    };

    return replay_main(argc, argv, "replay, hello", tests);
}
