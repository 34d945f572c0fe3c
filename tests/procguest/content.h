/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The contents of a test guest's page, a function of its gfn and version. Shared with the guest
 * that QEMU runs in the race (tests/bench/payload), which has no C library.
 */
#ifndef XF_PG_CONTENT_H
#define XF_PG_CONTENT_H

#include <stdint.h>

#define PG_WORDS 512u /* of 8 bytes, in a page */

/* A version with the bit PG_TEXT consists of a few hundred different words, which compress like
 * text; 0 is zeros, and any other version does not compress at all. */
#define PG_TEXT 0x80000000u

static inline uint64_t pg_page_seed(uint64_t gfn, uint32_t version)
{
    return (gfn + 1) * 0x9e3779b97f4a7c15ull ^ (uint64_t)version * 0xc2b2ae3d27d4eb4full;
}

/* One of 256 words of seven letters, followed by one of 16 letters. */
static inline uint64_t pg_text_word(uint64_t *seed)
{
    uint64_t letters, x = *seed;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *seed = x;
    letters = ((x & 0xff) + 1) * 0x9e3779b97f4a7c15ull >> 8 | (x & 0xf00) << 48;
    return (letters & 0x0f0f0f0f0f0f0f0full) + 0x6161616161616161ull;
}

/* The next of a page's words. *at: pg_page_seed() before the first. */
static inline uint64_t pg_next_word(uint64_t *at, uint32_t version)
{
    uint64_t word = *at;

    if (!version)
        return 0;
    if (version & PG_TEXT)
        return pg_text_word(at);
    *at += 0x165667b19e3779f9ull;
    return word;
}

/* xorshift; *x is never 0. */
static inline uint64_t pg_next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

#endif
