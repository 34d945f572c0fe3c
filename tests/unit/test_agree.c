/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which version of the protocol two builds speak (libxl-ext/peer/agree.h). */
#include <errno.h>
#include <string.h>

#include "libxl-ext/peer/agree.h"
#include "tests/unit/suite.h"
#include "transport/version.h"
#include "transport/wire.h"

static struct xf_err err;

static struct xf_build build(unsigned oldest, unsigned newest, const char *release)
{
    struct xf_build b = {.newest = newest, .oldest = oldest};

    strcpy(b.release, release);
    return b;
}

/* Both sides find this one. */
static void agree(struct xf_build a, struct xf_build b, unsigned want)
{
    unsigned got[2] = {0};

    CU_ASSERT_EQUAL(xf_agree(&a, &b, &got[0], &err), 0);
    CU_ASSERT_EQUAL(xf_agree(&b, &a, &got[1], &err), 0);
    CU_ASSERT(got[0] == want && got[1] == want);
}

/* Neither does, and each names both. */
static void differ(struct xf_build a, struct xf_build b)
{
    unsigned got = 99;

    for (unsigned i = 0; i < 2; i++) {
        xf_clear(&err);
        CU_ASSERT_EQUAL(xf_agree(i ? &b : &a, i ? &a : &b, &got, &err), -1);
        CU_ASSERT(err.num == EPROTONOSUPPORT && got == 99);
        CU_ASSERT_PTR_NOT_NULL(
            strstr(err.text, " on the other one have no version of the protocol in common ("));
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "install the same Xenferry on both"));
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, i && !a.release[0] ? "an older one" : a.release));
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, b.release));
    }
}

static void test_here(void)
{
    struct xf_build here = xf_build_here();

    CU_ASSERT(here.newest == XF_WIRE_VERSION && here.oldest == XF_WIRE_OLDEST);
    CU_ASSERT_STRING_EQUAL(here.release, xf_version());
    /* The rule: this one and the two before it, as far as there are any. */
    CU_ASSERT_EQUAL(here.oldest, here.newest > 2 ? here.newest - 2 : 1);
    agree(here, here, XF_WIRE_VERSION);
    agree(here, build(1, 1, ""), 1); /* before it was said */
    agree(here, build(XF_WIRE_VERSION, XF_WIRE_VERSION + 2, "9"), XF_WIRE_VERSION);
    differ(build(here.newest + 1, here.newest + 3, "9.8.7"), here); /* too new */
}

static void test_others(void)
{
    agree(build(1, 2, "1"), build(1, 1, ""), 1);
    agree(build(1, 3, "1"), build(3, 5, "2"), 3);
    agree(build(2, 4, "1"), build(1, 3, "2"), 3);
    agree(build(2, 4, "1"), build(3, 3, "2"), 3);
    agree(build(1, 65535, "1"), build(65535, 65535, "2"), 65535);
    differ(build(1, 1, ""), build(2, 4, "3.0"));
    differ(build(1, 3, "1.0"), build(4, 6, "2.0"));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"this build", test_here},
        {"others", test_others},
        CU_TEST_INFO_NULL,
    };

    return run_suite("agreeing on a version", tests);
}
