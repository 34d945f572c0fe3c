// SPDX-License-Identifier: LGPL-2.1-or-later
// Page contents that can be computed again: every 8 bytes of a page depend on
// the seed, what it is (memory or disk), its index and its generation.
#include "guest.h"

#include <time.h>

static uint64_t seed;

void pattern_seed(uint64_t s)
{
    seed = s;
}

static uint64_t mix(uint64_t x) // splitmix64's finisher
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t first_word(uint64_t what, uint64_t index, uint32_t gen)
{
    return mix(mix(seed + what) + (index << 32 | gen)) | 1;
}

#define STEP 0x9e3779b97f4a7c15u

void pattern_fill(void *page, uint64_t what, uint64_t index, uint32_t gen)
{
    uint64_t *w = page, v = first_word(what, index, gen);
    for (size_t i = 0; i < WORDS; i++, v += STEP)
        w[i] = v;
}

int pattern_check(const void *page, uint64_t what, uint64_t index, uint32_t gen)
{
    const uint64_t *w = page;
    uint64_t v = first_word(what, index, gen);
    for (size_t i = 0; i < WORDS; i++, v += STEP)
        if (w[i] != v)
            return (int)(i * sizeof(v));
    return -1;
}

int zero_check(const void *page)
{
    const uint64_t *w = page;
    for (size_t i = 0; i < WORDS; i++)
        if (w[i])
            return (int)(i * sizeof(*w));
    return -1;
}

uint64_t random_next(uint64_t *state)
{
    *state += STEP;
    return mix(*state);
}

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
