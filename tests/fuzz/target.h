/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every fuzz target has beside its function.
 *
 * Seeds: good inputs to begin with. `fuzz_NAME --seeds DIR` writes them.
 * Goals: places that are reached only if an input was understood to its end. With FUZZ_GOALS in
 * the environment the program fails if one was not reached by the time it ends, so that a search
 * that starts from nothing, or a seed that is refused at its first field, does not pass for one.
 *
 * A target ends with FUZZ_TARGET(seed function, names of its goals in order). Also included by
 * tests that run a target without a fuzzer.
 */
#ifndef XF_FUZZ_TARGET_H
#define XF_FUZZ_TARGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/must.h"

#define FUZZ_INPUT_MAX (1u << 18) /* bytes of one input; no target takes more */
#define FUZZ_GOALS_MAX 16

/* Write seed n (0, 1, ...) and return its length; 0: there are no more. */
typedef size_t (*fuzz_seed_fn)(int n, uint8_t out[FUZZ_INPUT_MAX]);

static struct {
    const char *const *names;
    unsigned nr;
    atomic_bool reached[FUZZ_GOALS_MAX]; /* any thread */
} fuzz_goals;                            /* libFuzzer gives a target no place for it */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static inline void fuzz_reached(unsigned goal)
{
    atomic_store_explicit(&fuzz_goals.reached[goal], true, memory_order_relaxed);
}

/* How many were not reached; says which. */
static inline unsigned fuzz_missed(void)
{
    unsigned missed = 0;

    for (unsigned i = 0; i < fuzz_goals.nr; i++) {
        if (atomic_load(&fuzz_goals.reached[i]))
            continue;
        fprintf(stderr, "never reached: %s\n", fuzz_goals.names[i]);
        missed++;
    }
    return missed;
}

static inline void fuzz_end(void)
{
    if (fuzz_missed())
        _Exit(1);
}

static inline int fuzz_write_seeds(const char *dir, fuzz_seed_fn seed)
{
    static uint8_t buf[FUZZ_INPUT_MAX];
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

static inline int fuzz_begin(int argc, char **argv, fuzz_seed_fn seed, const char *const *names,
                             unsigned nr)
{
    fuzz_goals.names = names;
    fuzz_goals.nr = nr;
    if (argc == 3 && !strcmp(argv[1], "--seeds"))
        exit(fuzz_write_seeds(argv[2], seed));
    if (getenv("FUZZ_GOALS"))
        atexit(fuzz_end);
    return 0;
}

#define FUZZ_TARGET(seed, ...)                                                                     \
    int LLVMFuzzerInitialize(int *argc, char ***argv)                                              \
    {                                                                                              \
        static const char *const names[] = {__VA_ARGS__};                                          \
                                                                                                   \
        _Static_assert(sizeof(names) / sizeof(names[0]) <= FUZZ_GOALS_MAX,                         \
                       "more goals than room");                                                    \
        return fuzz_begin(*argc, *argv, seed, names, sizeof(names) / sizeof(names[0]));            \
    }

#endif
