/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The main() of a program that runs a fuzz target without a fuzzer: its tests, or
 *     test_... --seeds DIR    write the seeds for libFuzzer
 *     test_... FILE...        replay what a fuzzer has found
 * Included after the fuzz target.
 */
#ifndef XF_REPLAY_H
#define XF_REPLAY_H

#include <stdio.h>
#include <string.h>

#include "tests/unit/suite.h"

#define REPLAY_MAX (1u << 18) /* bytes of one input; no target takes more */

/* Write seed n into out; 0: there are no more. */
typedef size_t (*replay_seed)(int n, uint8_t out[REPLAY_MAX]);

static int replay_write_seeds(const char *dir, replay_seed seed)
{
    static uint8_t buf[REPLAY_MAX];
    size_t len;

    for (int n = 0; (len = seed(n, buf)) > 0; n++) {
        char name[4096];
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

static int replay_file(const char *name)
{
    static uint8_t buf[REPLAY_MAX];
    FILE *f = fopen(name, "rb");

    if (!f) {
        perror(name);
        return 1;
    }
    LLVMFuzzerTestOneInput(buf, fread(buf, 1, sizeof(buf), f));
    fclose(f);
    return 0;
}

static int replay_main(int argc, char **argv, const char *suite, CU_TestInfo *tests,
                       replay_seed seed)
{
    int rc = 0;

    if (argc == 3 && !strcmp(argv[1], "--seeds"))
        return replay_write_seeds(argv[2], seed);
    for (int i = 1; i < argc; i++)
        rc |= replay_file(argv[i]);
    return argc > 1 ? rc : run_suite(suite, tests);
}

#endif
