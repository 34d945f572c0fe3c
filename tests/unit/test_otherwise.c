/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What else could move a guest that CHECK refuses: its marks, for guests made up here, and what is
 * made of the marks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xenctrl.h>
#include <xen/hvm/params.h>

#include "libxl-ext/peer/check.h"
#include "tests/unit/suite.h"

static struct {
    bool shadow, nested;
    uint32_t flags;
    uint64_t pod_entries, gfns;
} xen;
static struct xf_findings f;
static libxl_domain_config config;
static libxl_device_disk disk;
static char vdev[] = "xvda";
static uint64_t need;

int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned max, xc_domaininfo_t *info)
{
    (void)xch;
    (void)max;
    *info = (xc_domaininfo_t){.domain = (domid_t)first, .flags = xen.flags};
    return 1;
}

int xc_physinfo(xc_interface *xch, xc_physinfo_t *info)
{
    (void)xch;
    info->capabilities = xen.shadow ? XEN_SYSCTL_PHYSCAP_shadow : 0;
    return 0;
}

int xc_domain_get_pod_target(xc_interface *xch, uint32_t domid, uint64_t *tot, uint64_t *cache,
                             uint64_t *entries)
{
    (void)xch;
    (void)domid;
    *tot = 1000;
    *cache = 0;
    *entries = xen.pod_entries;
    return 0;
}

int xc_domain_nr_gpfns(xc_interface *xch, uint32_t domid, xen_pfn_t *gpfns)
{
    (void)xch;
    (void)domid;
    *gpfns = xen.gfns;
    return 0;
}

int xc_hvm_param_get(xc_interface *xch, uint32_t domid, uint32_t param, uint64_t *value)
{
    (void)xch;
    (void)domid;
    *value = param == HVM_PARAM_NESTEDHVM && xen.nested;
    return 0;
}

int libxl_domain_need_memory(libxl_ctx *ctx, libxl_domain_config *c, uint32_t domid,
                             uint64_t *need_memkb)
{
    (void)ctx;
    (void)c;
    (void)domid;
    *need_memkb = 4711;
    return 0;
}

void libxl_domain_config_copy(libxl_ctx *ctx, libxl_domain_config *to,
                              const libxl_domain_config *from)
{
    (void)ctx;
    (void)to;
    (void)from;
}

static void begin(libxl_domain_type type)
{
    memset(&xen, 0, sizeof(xen));
    memset(&f, 0, sizeof(f));
    xen.gfns = 0x1000;
    xen.flags = type == LIBXL_DOMAIN_TYPE_PV ? 0 : XEN_DOMINF_hvm_guest;
    libxl_domain_config_init(&config);
    config.c_info.type = type;
    disk = (libxl_device_disk){.format = LIBXL_DISK_FORMAT_QCOW2, .vdev = vdev};
    config.disks = &disk;
}

/* The one refusal has this code and mark; *need is known unless nothing can move it. */
static void is(const char *code, enum xf_otherwise otherwise)
{
    const struct xf_finding *x;
    struct xf_err err = {0};

    CU_ASSERT_EQUAL(xf_check_source(NULL, NULL, NULL, 9, &config, &f, &need, &err), 0);
    x = xf_first_refusal(&f);
    CU_ASSERT_PTR_NOT_NULL_FATAL(x);
    CU_ASSERT_STRING_EQUAL(x->code, code);
    CU_ASSERT_EQUAL(x->otherwise, otherwise);
    CU_ASSERT_EQUAL(need, otherwise == XF_NOTHING ? 0 : 4711);
    CU_ASSERT_EQUAL(xf_stock_can(&f), otherwise == XF_STOCK);
    CU_ASSERT_EQUAL(xf_nothing_can(&f), otherwise == XF_NOTHING);
    xf_findings_for_cold(&f);
    CU_ASSERT_EQUAL(xf_first_refusal(&f) != NULL, otherwise == XF_NOTHING);
}

static void test_marks(void)
{
    begin(LIBXL_DOMAIN_TYPE_PV);
    is("pv-guest", XF_COLD);
    begin(LIBXL_DOMAIN_TYPE_PV);
    xen.shadow = true;
    is("pv-guest", XF_STOCK);
    begin(LIBXL_DOMAIN_TYPE_PVH);
    config.num_disks = 1;
    is("disk-format", XF_STOCK);
    begin(LIBXL_DOMAIN_TYPE_PVH);
    xen.gfns = 1ull << 39;
    is("address-space", XF_STOCK);
    begin(LIBXL_DOMAIN_TYPE_PVH);
    xen.nested = true;
    is("nested-hvm", XF_NOTHING);
    begin(LIBXL_DOMAIN_TYPE_PVH);
    xen.pod_entries = 7;
    is("pod", XF_NOTHING); /* Xen would crash it under any tool */
    begin(LIBXL_DOMAIN_TYPE_PVH);
    config.num_dtdevs = 1;
    is("passthrough", XF_NOTHING);
    begin(LIBXL_DOMAIN_TYPE_PVH);
    config.num_vtpms = 1;
    is("device-kind", XF_NOTHING);
    begin(LIBXL_DOMAIN_TYPE_PVH);
    xen.flags |= XEN_DOMINF_shutdown;
    is("not-running", XF_NOTHING);
    begin(LIBXL_DOMAIN_TYPE_PV); /* one reason of ours, and one of nobody's */
    config.num_dtdevs = 1;
    CU_ASSERT_EQUAL(xf_check_source(NULL, NULL, NULL, 9, &config, &f, &need, NULL), 0);
    CU_ASSERT(!xf_stock_can(&f) && xf_nothing_can(&f));
}

/* A paused guest is not refused. */
static void test_paused(void)
{
    begin(LIBXL_DOMAIN_TYPE_PVH);
    xen.flags |= XEN_DOMINF_paused;
    CU_ASSERT_EQUAL(xf_check_source(NULL, NULL, NULL, 9, &config, &f, &need, NULL), 0);
    CU_ASSERT(!xf_first_refusal(&f) && f.n == 1 && !strcmp(f.list[0].code, "paused"));
    CU_ASSERT(f.list[0].severity == XF_INFO && !xf_stock_can(&f));
}

/* What did not fit into the list is not known to be of ours. */
static void test_more(void)
{
    memset(&f, 0, sizeof(f));
    for (unsigned i = 0; i < XF_FINDINGS_MAX; i++)
        xf_refuse_ours(&f, XF_STOCK, "pv-guest", "%u", i);
    CU_ASSERT(xf_stock_can(&f) && !xf_nothing_can(&f));
    xf_find(&f, XF_REFUSAL, "passthrough", "x");
    CU_ASSERT(!xf_stock_can(&f) && xf_nothing_can(&f));
}

int main(void)
{
    CU_TestInfo tests[] = {{"what else could move it", test_marks},
                           {"a paused guest", test_paused},
                           {"more findings than fit", test_more},
                           CU_TEST_INFO_NULL};

    return run_suite("otherwise", tests);
}
