/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How far a guest's address space may reach, and what the destination says of one that does. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libxl-ext/xen/guest_size.h"
#include "tests/unit/suite.h"

#define GIB_KIB (1ull << 20)
#define GIB_GFNS (1ull << 18)

static void test_limit(void)
{
    CU_ASSERT_EQUAL(xf_gfn_limit(0), 16 * GIB_GFNS);
    CU_ASSERT_EQUAL(xf_gfn_limit(GIB_KIB), 18 * GIB_GFNS);
    CU_ASSERT_EQUAL(xf_gfn_limit(1024 * GIB_KIB), (2048 + 16) * GIB_GFNS);
    /* What libxl builds is far below: memory from 0, a hole of 2 GiB and more below 4 GiB. */
    for (uint64_t gib = 1; gib < 4096; gib *= 2)
        CU_ASSERT((gib + 4) * GIB_GFNS < xf_gfn_limit(gib * GIB_KIB));
    CU_ASSERT(xf_gfn_limit(UINT64_MAX) < XF_GFN_MAX);
}

static void test_config(void)
{
    static const struct {
        const char *json;
        bool ok;
        uint64_t kib;
    } t[] = {
        {"{\"c_info\":{},\"b_info\":{\"max_memkb\":131072,\"target_memkb\":65536}}", true, 131072},
        {"{\"b_info\":{\"target_memkb\":65536,\"video_memkb\":4096}}", true, 69632},
        {"{\"b_info\":{}}", true, 0},
        {"{\"b_info\":{\"max_memkb\":18446744073709551615,\"video_memkb\":9}}", true, UINT64_MAX},
        {"{\"b_info\":{\"max_memkb\":-1}}", true, 0},
        {"{\"b_info\":{\"max_memkb\":\"131072\"}}", false, 0},
        {"{\"b_info\":{\"target_memkb\":{}}}", false, 0},
        {"{\"b_info\":[]}", false, 0},
        {"{}", false, 0},
        {"[1]", false, 0},
        {"", false, 0},
        {"{\"b_info\":", false, 0},
    };

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct xf_err err = {0};
        uint64_t kib = 1;

        CU_ASSERT_EQUAL(xf_config_max_kib(t[i].json, &kib, &err), t[i].ok ? 0 : -1);
        CU_ASSERT(t[i].ok ? kib == t[i].kib && !err.num : err.num == EPROTO);
    }
}

/* 128 MiB by its configuration, on a host of 1 GiB; one that says it has 16 TiB there. */
static void test_skeleton(void)
{
    static const struct {
        const char *json;
        uint64_t limit;
    } t[] = {
        {"{\"b_info\":{\"max_memkb\":131072}}", 2 * 32768 + 16 * GIB_GFNS},
        {"{\"b_info\":{\"max_memkb\":17179869184}}", 18 * GIB_GFNS},
    };

    for (unsigned i = 0; i < 2; i++) {
        struct xf_skeleton k = {.nr_gfns = t[i].limit};
        struct xf_err err = {0};

        CU_ASSERT_EQUAL(xf_check_skeleton_size(&k, t[i].json, GIB_GFNS, &err), 0);
        k.nr_gfns++;
        CU_ASSERT_EQUAL(xf_check_skeleton_size(&k, t[i].json, GIB_GFNS, &err), -1);
        CU_ASSERT(err.num == EFBIG && strstr(err.text, i ? "1024 MiB" : "128 MiB") &&
                  strstr(err.text, "start it again"));
        k.nr_gfns = XF_GFN_MAX;
        CU_ASSERT_EQUAL(xf_check_skeleton_size(&k, t[i].json, GIB_GFNS, NULL), -1);
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"the limit", test_limit},
        {"memory by the configuration", test_config},
        {"a skeleton", test_skeleton},
        CU_TEST_INFO_NULL,
    };

    return run_suite("guest size", tests);
}
