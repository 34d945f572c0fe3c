/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest's rings and built pages in maps of its gfns: none but those, and none beyond the map. */
#include <string.h>

#include "pages/rings.h"
#include "tests/unit/suite.h"

#define GFNS 130u
#define WORDS 4u /* one more than the map has */

/* The last two are outside the guest: one just behind it, in the map's last word or the next, and
 * one far away. */
static uint64_t gfns[] = {0, 63, 64, GFNS - 1, GFNS, WORDS *XF_WORD_BITS - 1, 1ull << 40};
#define N ((unsigned)(sizeof(gfns) / sizeof(gfns[0])))

static bool listed(uint64_t gfn)
{
    for (unsigned i = 0; i < N; i++)
        if (gfns[i] == gfn && gfn < GFNS)
            return true;
    return false;
}

static void test_dropped(void)
{
    const struct xf_source_vm vm = {.nr_gfns = GFNS, .rings = gfns, .nr_rings = N};
    unsigned long map[WORDS];

    memset(map, 0xff, sizeof(map));
    xf_drop_rings(&vm, map);
    for (uint64_t g = 0; g < WORDS * XF_WORD_BITS; g++)
        CU_ASSERT_EQUAL(xf_bit(map, g), !listed(g));
}

static void test_marked(void)
{
    const struct xf_sink_vm vm = {
        .nr_gfns = GFNS, .rings = gfns, .nr_rings = N, .built = gfns, .nr_built = N};
    unsigned long rings[WORDS] = {0}, built[WORDS] = {0};

    xf_mark_rings(&vm, rings);
    xf_mark_built(&vm, built);
    for (uint64_t g = 0; g < WORDS * XF_WORD_BITS; g++)
        CU_ASSERT(xf_bit(rings, g) == listed(g) && xf_bit(built, g) == listed(g));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"not sent", test_dropped},
        {"not touched, and built", test_marked},
        CU_TEST_INFO_NULL,
    };

    return run_suite("rings", tests);
}
