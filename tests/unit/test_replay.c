/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fuzz target without a fuzzer: every seed whole, cut off at every length and with
 * every bit flipped, on any compiler. Also
 *     test_replay --seeds DIR    writes the seeds for libFuzzer
 *     test_replay FILE...        replays what a fuzzer has found
 */
#define XF_FUZZ_REPLAY
#include "tests/fuzz/fuzz_wire.c"

#include <CUnit/Basic.h>

#include "tests/fuzz/seeds.h"

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

static int write_seeds(const char *dir)
{
    uint8_t buf[XF_SEED_MAX];
    char name[4096];
    int n;

    for (n = 0; n < XF_SEEDS; n++) {
        size_t len = xf_seed(n, buf);
        FILE *f;

        snprintf(name, sizeof(name), "%s/seed-%d", dir, n);
        f = fopen(name, "wb");
        if (!f || fwrite(buf, 1, len, f) != len || fclose(f)) {
            perror(name);
            return 1;
        }
    }
    return 0;
}

static int replay(const char *name)
{
    static uint8_t buf[XF_FRAME_BYTES + XF_META_MAX];
    FILE *f = fopen(name, "rb");

    if (!f) {
        perror(name);
        return 1;
    }
    LLVMFuzzerTestOneInput(buf, fread(buf, 1, sizeof(buf), f));
    fclose(f);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned failed;
    CU_pSuite s;
    int i, rc = 0;

    if (argc == 3 && !strcmp(argv[1], "--seeds"))
        return write_seeds(argv[2]);
    if (argc > 1) {
        for (i = 1; i < argc; i++)
            rc |= replay(argv[i]);
        return rc;
    }
    if (CU_initialize_registry())
        return 2;
    s = CU_add_suite("replay", NULL, NULL);
    if (!s || !CU_add_test(s, "every seed, cut and flipped", test_seeds) ||
        !CU_add_test(s, "random damage", test_damage))
        return 2;
    CU_basic_run_tests();
    failed = CU_get_number_of_failures() + CU_get_number_of_tests_failed();
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
