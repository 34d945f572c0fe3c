/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A build for one release of Xen on another says so, and leaves nothing open. */
#include "libxl-ext/xen/xen_open.h"

#include <errno.h>
#include <string.h>

#include "libxl-ext/libxl_ext.h"
#include "tests/unit/suite.h"

static struct {
    int version; /* what Xen says of itself; < 0: nothing */
    int opened;
    bool none;
} xen;

xc_interface *xc_interface_open(xentoollog_logger *log, xentoollog_logger *dom, unsigned flags)
{
    (void)log;
    (void)dom;
    (void)flags;
    if (xen.none) {
        errno = ENOENT;
        return NULL;
    }
    xen.opened++;
    return (xc_interface *)&xen;
}

int xc_interface_close(xc_interface *xch)
{
    CU_ASSERT_PTR_EQUAL(xch, (xc_interface *)&xen);
    xen.opened--;
    return 0;
}

int xc_version(xc_interface *xch, int cmd, void *arg)
{
    CU_ASSERT(xch == (xc_interface *)&xen && cmd == XENVER_version && !arg);
    if (xen.version < 0)
        errno = EPERM;
    return xen.version;
}

static int try(int version, struct xf_err *err)
{
    struct xf_toollog log;
    xc_interface *xch = (xc_interface *)1;
    int rc;

    xf_toollog_init(&log);
    xf_clear(err);
    xen.version = version;
    rc = xf_xen_open(&xch, &log, err);
    CU_ASSERT_EQUAL(xen.opened, rc ? 0 : 1);
    CU_ASSERT_PTR_EQUAL(xch, rc ? NULL : (xc_interface *)&xen);
    xen.opened = 0;
    return rc;
}

static void test_release(void)
{
    unsigned major = 0, minor = 0;
    struct xf_err err = {0};
    char other[16];

    CU_ASSERT_EQUAL(sscanf(xf_xen_release(), "%u.%u", &major, &minor), 2);
    CU_ASSERT_EQUAL(try((int)(major << 16 | minor), &err), 0);
    CU_ASSERT_EQUAL(try((int)(major << 16 | (minor + 1)), &err), -1);
    CU_ASSERT_EQUAL(err.num, ENOTSUP);
    snprintf(other, sizeof(other), "Xen %u.%u runs", major, minor + 1);
    CU_ASSERT(strstr(err.text, other) && strstr(err.text, xf_xen_release()));
    CU_ASSERT_EQUAL(try((int)((major + 1) << 16 | minor), &err), -1);
    CU_ASSERT_EQUAL(err.num, ENOTSUP);
}

static void test_no_answer(void)
{
    struct xf_err err = {0};

    CU_ASSERT_EQUAL(try(-1, &err), -1);
    CU_ASSERT_EQUAL(err.num, EPERM);
    xen.none = true;
    CU_ASSERT_EQUAL(try(0, &err), -1);
    CU_ASSERT_EQUAL(err.num, ENOENT);
    xen.none = false;
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"release", test_release},
        {"no answer", test_no_answer},
        CU_TEST_INFO_NULL,
    };

    return run_suite("xen_open", tests);
}
