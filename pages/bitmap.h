/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bitmaps over gfns, one bit each, in unsigned longs as Xen's dirty log has them
 * (XEN_DOMCTL_SHADOW_OP_CLEAN: bit n of the byte array is gfn n; on x86 the same thing).
 */
#ifndef XF_BITMAP_H
#define XF_BITMAP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define XF_WORD_BITS (8 * sizeof(unsigned long))

static inline size_t xf_bitmap_words(uint64_t bits)
{
    return (bits + XF_WORD_BITS - 1) / XF_WORD_BITS;
}

static inline unsigned long *xf_bitmap_new(uint64_t bits)
{
    return calloc(xf_bitmap_words(bits), sizeof(unsigned long));
}

static inline bool xf_bit(const unsigned long *map, uint64_t i)
{
    return (map[i / XF_WORD_BITS] >> (i % XF_WORD_BITS)) & 1;
}

static inline void xf_set(unsigned long *map, uint64_t i)
{
    map[i / XF_WORD_BITS] |= 1ul << (i % XF_WORD_BITS);
}

static inline void xf_unset(unsigned long *map, uint64_t i)
{
    map[i / XF_WORD_BITS] &= ~(1ul << (i % XF_WORD_BITS));
}

/* The same three, safe against other threads that change the same map. The last two return the old
 * bit. */
static inline bool xf_bit_atomic(const unsigned long *map, uint64_t i)
{
    return (__atomic_load_n(&map[i / XF_WORD_BITS], __ATOMIC_ACQUIRE) >> (i % XF_WORD_BITS)) & 1;
}

static inline bool xf_set_atomic(unsigned long *map, uint64_t i)
{
    unsigned long bit = 1ul << (i % XF_WORD_BITS);

    return __atomic_fetch_or(&map[i / XF_WORD_BITS], bit, __ATOMIC_ACQ_REL) & bit;
}

static inline bool xf_unset_atomic(unsigned long *map, uint64_t i)
{
    unsigned long bit = 1ul << (i % XF_WORD_BITS);

    return __atomic_fetch_and(&map[i / XF_WORD_BITS], ~bit, __ATOMIC_ACQ_REL) & bit;
}

static inline uint64_t xf_bitmap_count(const unsigned long *map, uint64_t bits)
{
    uint64_t n = 0;

    for (size_t w = 0; w < xf_bitmap_words(bits); w++)
        n += (uint64_t)__builtin_popcountl(map[w]);
    return n;
}

/* The first set bit at or after `from`, or `bits` when there is none. */
static inline uint64_t xf_bitmap_next(const unsigned long *map, uint64_t from, uint64_t bits)
{
    if (from >= bits)
        return bits;
    size_t w = from / XF_WORD_BITS;
    unsigned long word = map[w] & (~0ul << (from % XF_WORD_BITS));

    while (word == 0) {
        if (++w >= xf_bitmap_words(bits))
            return bits;
        word = map[w];
    }
    uint64_t i = w * XF_WORD_BITS + (uint64_t)__builtin_ctzl(word);
    return i < bits ? i : bits;
}

#endif
