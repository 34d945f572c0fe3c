/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What CHECK says of memory that is populated on demand, of a domain made up here. */
#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>

#include "libxl-ext/peer/check.h"
#include "tests/unit/suite.h"

static struct {
    uint64_t tot, reserve, entries;
} pod;

int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned max, xc_domaininfo_t *info)
{
    (void)xch;
    CU_ASSERT_EQUAL(max, 1);
    *info = (xc_domaininfo_t){.domain = (domid_t)first, .flags = XEN_DOMINF_hvm_guest};
    return 1;
}

int xc_domain_get_pod_target(xc_interface *xch, uint32_t domid, uint64_t *tot_pages,
                             uint64_t *pod_cache_pages, uint64_t *pod_entries)
{
    (void)xch;
    CU_ASSERT_EQUAL(domid, 9);
    *tot_pages = pod.tot;
    *pod_cache_pages = pod.reserve;
    *pod_entries = pod.entries;
    return 0;
}

int xc_domain_nr_gpfns(xc_interface *xch, uint32_t domid, xen_pfn_t *gpfns)
{
    (void)xch;
    (void)domid;
    *gpfns = 0x10000;
    return 0;
}

int xc_hvm_param_get(xc_interface *xch, uint32_t domid, uint32_t param, uint64_t *value)
{
    (void)xch;
    (void)domid;
    (void)param;
    *value = 0;
    return 0;
}

int libxl_domain_need_memory(libxl_ctx *ctx, libxl_domain_config *config, uint32_t domid,
                             uint64_t *need_memkb)
{
    (void)ctx;
    (void)config;
    (void)domid;
    *need_memkb = 1;
    return 0;
}

void libxl_domain_config_copy(libxl_ctx *ctx, libxl_domain_config *to,
                              const libxl_domain_config *from)
{
    (void)ctx;
    (void)to;
    (void)from;
}

static const char *found(uint64_t tot, uint64_t reserve, uint64_t entries, uint64_t maxmem_mib)
{
    static struct xf_findings f;
    libxl_domain_config config;
    const struct xf_finding *first;
    struct xf_err err = {0};
    uint64_t need = 0;
    char name[] = "web1";

    libxl_domain_config_init(&config);
    config.c_info.type = LIBXL_DOMAIN_TYPE_PVH;
    config.c_info.name = name;
    config.b_info.max_memkb = maxmem_mib << 10;
    memset(&f, 0, sizeof(f));
    pod.tot = tot;
    pod.reserve = reserve;
    pod.entries = entries;
    config.b_info.max_vcpus = 2;
    CU_ASSERT_EQUAL(xf_check_source(NULL, NULL, NULL, 9, &config, &f, &need, &err), 0);
    if (!xf_first_refusal(&f))
        CU_ASSERT_EQUAL(need, 1 + 2 * 294 * 4); /* Xen's own for each vCPU, which libxl omits */
    config.c_info.name = NULL;
    libxl_domain_config_dispose(&config);
    first = xf_first_refusal(&f);
    if (first)
        CU_ASSERT_STRING_EQUAL(first->code, "pod");
    return first ? first->text : NULL;
}

static void enough_in_reserve(void)
{
    CU_ASSERT_PTR_NULL(found(128 << 8, 0, 0, 128));
    CU_ASSERT_PTR_NULL(found(112 << 8, 4000, 4000, 160));
    CU_ASSERT_PTR_NULL(found(112 << 8, 4000, 3999, 160));
}

/* The remedy is a size that suffices, and that xl takes. */
static void not_enough(void)
{
    const char *text = found(112 << 8, 4000, 4001, 160);

    CU_ASSERT(text && strstr(text, "`xl mem-set web1 113`"));
    /* All of what is above memory: 48 MiB. */
    text = found(112 << 8, 20000, 20000 + (48 << 8), 160);
    CU_ASSERT(text && strstr(text, "`xl mem-set web1 160`"));
    text = found((112 << 8) + 11, 20000, 20000 + (48 << 8), 160);
    CU_ASSERT(text && strstr(text, "`xl mem-set web1 160`"));
}

int main(void)
{
    CU_TestInfo tests[] = {{"enough in reserve", enough_in_reserve},
                           {"more than there is in reserve", not_enough},
                           CU_TEST_INFO_NULL};

    return run_suite("pod", tests);
}
