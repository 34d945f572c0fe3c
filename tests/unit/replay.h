/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The main() of a program that runs a fuzz target without a fuzzer: its tests, or
 *     test_... FILE...        replay what a fuzzer has found
 * Included after the fuzz target, which has the seeds.
 */
#ifndef XF_REPLAY_H
#define XF_REPLAY_H

#include <stdio.h>

#include "tests/unit/suite.h"

static int replay_file(const char *name)
{
    static uint8_t buf[FUZZ_INPUT_MAX];
    FILE *f = fopen(name, "rb");

    if (!f) {
        perror(name);
        return 1;
    }
    LLVMFuzzerTestOneInput(buf, fread(buf, 1, sizeof(buf), f));
    fclose(f);
    return 0;
}

static int replay_main(int argc, char **argv, const char *suite, CU_TestInfo *tests)
{
    int rc = 0;

    for (int i = 1; i < argc; i++)
        rc |= replay_file(argv[i]);
    return argc > 1 ? rc : run_suite(suite, tests);
}

#endif
