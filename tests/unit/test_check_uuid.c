/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CHECK at the destination, as far as it concerns which domains there are already: of this name,
 * of the copy's name, of this uuid. The host is made up (fake_host.h) and could take anything.
 */
#include <stdio.h>
#include <string.h>

#include <xenctrl.h>
#include <xenguest.h>

#include "libxl-ext/peer/check.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/suite.h"

#define UUID "2f6c1c2e-0d3a-4a53-9f5e-6a1f0c9f7a11"
#define OTHER_UUID "2f6c1c2e-0d3a-4a53-9f5e-6a1f0c9f7a12"

/* --- a host that could take anything --- */

const libxl_version_info *libxl_get_version_info(libxl_ctx *ctx)
{
    static const libxl_version_info info = {.xen_version_major = 4, .xen_version_minor = 17};

    (void)ctx;
    return &info;
}

int libxl_get_free_memory(libxl_ctx *ctx, uint64_t *kib)
{
    (void)ctx;
    *kib = 1u << 20;
    return 0;
}

xc_cpu_policy_t *xc_cpu_policy_init(void)
{
    return (xc_cpu_policy_t *)fake_host;
}

void xc_cpu_policy_destroy(xc_cpu_policy_t *policy)
{
    (void)policy;
}

int xc_cpu_policy_get_size(xc_interface *xch, uint32_t *nr_leaves, uint32_t *nr_msrs)
{
    (void)xch;
    *nr_leaves = *nr_msrs = 1;
    return 0;
}

int xc_cpu_policy_get_system(xc_interface *xch, unsigned index, xc_cpu_policy_t *policy)
{
    (void)xch;
    (void)index;
    (void)policy;
    return 0;
}

int xc_cpu_policy_serialise(xc_interface *xch, const xc_cpu_policy_t *policy,
                            xen_cpuid_leaf_t *leaves, uint32_t *nr_leaves, xen_msr_entry_t *msrs,
                            uint32_t *nr_msrs)
{
    (void)xch;
    (void)policy;
    (void)leaves;
    (void)msrs;
    *nr_leaves = *nr_msrs = 0;
    return 0;
}

int xc_get_cpu_featureset(xc_interface *xch, uint32_t index, uint32_t *nr, uint32_t *words)
{
    (void)xch;
    (void)index;
    memset(words, 0, *nr * sizeof(*words));
    return 0;
}

int xc_cpu_policy_update_cpuid(xc_interface *xch, xc_cpu_policy_t *policy,
                               const xen_cpuid_leaf_t *leaves, uint32_t nr)
{
    (void)xch;
    (void)policy;
    (void)leaves;
    (void)nr;
    return 0;
}

int xc_cpu_policy_update_msrs(xc_interface *xch, xc_cpu_policy_t *policy,
                              const xen_msr_entry_t *msrs, uint32_t nr)
{
    (void)xch;
    (void)policy;
    (void)msrs;
    (void)nr;
    return 0;
}

bool xc_cpu_policy_is_compatible(xc_interface *xch, xc_cpu_policy_t *host, xc_cpu_policy_t *guest)
{
    (void)xch;
    (void)host;
    (void)guest;
    return true;
}

/* --- */

static struct xf_findings found;

static int check(bool same_host, const char *uuid)
{
    struct xf_hello hello = {.domain = "web1", .xen_major = 4, .xen_minor = 17};
    struct xf_toollog log;
    struct xf_err err = {0};

    xf_toollog_init(&log);
    memset(&found, 0, sizeof(found));
    snprintf(hello.uuid, sizeof(hello.uuid), "%s", uuid);
    return xf_check_peer((libxl_ctx *)fake_host, (xc_interface *)fake_host, &log, &hello, same_host,
                         &found, &err);
}

/* This one refusal, with these words; "": none. */
static void finds(const char *code, const char *words)
{
    unsigned refusals = 0;

    for (unsigned i = 0; i < found.n; i++) {
        if (found.list[i].severity != XF_REFUSAL)
            continue;
        refusals++;
        CU_ASSERT_STRING_EQUAL(found.list[i].code, code);
        CU_ASSERT_PTR_NOT_NULL(strstr(found.list[i].text, words));
        if (strcmp(found.list[i].code, code) != 0 || !strstr(found.list[i].text, words))
            fprintf(stderr, "%s: %s\n", found.list[i].code, found.list[i].text);
    }
    CU_ASSERT_EQUAL(refusals, code[0] ? 1 : 0);
}

static void test_second_uuid(void)
{
    char words[60];
    uint32_t domid;

    fake_host_new();
    fake_host_add("db1", OTHER_UUID);
    CU_ASSERT_EQUAL(check(false, UUID), 0);
    finds("", "");
    domid = fake_host_add("clone", UUID);
    CU_ASSERT_EQUAL(check(false, UUID), 0);
    snprintf(words, sizeof(words), "domain %u (\"clone\") there has the same uuid", domid);
    finds("uuid", words);
    /* What is being destroyed runs no more. */
    fake_host_at(domid)->dying = true;
    CU_ASSERT_EQUAL(check(false, UUID), 0);
    finds("", "");
    CU_ASSERT_EQUAL(check(false, "none"), -1);
    fake_host_free();
}

static void test_within_one_host(void)
{
    uint32_t domid;

    fake_host_new();
    fake_host_add("web1", UUID);
    CU_ASSERT_EQUAL(check(true, UUID), 0);
    finds("", "");
    domid = fake_host_add("clone", UUID);
    CU_ASSERT_EQUAL(check(true, UUID), 0);
    finds("uuid", "(\"clone\")");
    /* Also if it was there first; and it is not the one that moves that is named. */
    strcpy(fake_host_find("web1")->name, "x");
    strcpy(fake_host_at(domid)->name, "web1");
    strcpy(fake_host_find("x")->name, "clone");
    CU_ASSERT_EQUAL(check(true, UUID), 0);
    finds("uuid", "(\"clone\")");
    /* The one that moves gets another name by its configuration. */
    fake_host_at(domid)->domid = 0;
    CU_ASSERT_EQUAL(check(true, UUID), 0);
    finds("", "");
    fake_host_free();
}

static void test_names(void)
{
    fake_host_new();
    fake_host_add("web1", OTHER_UUID);
    CU_ASSERT_EQUAL(check(false, UUID), 0);
    finds("name", "a domain named \"web1\" exists there already");
    fake_host_free();
    fake_host_new();
    fake_host_add("web1--incoming", OTHER_UUID);
    CU_ASSERT_EQUAL(check(false, UUID), 0);
    finds("name", "\"web1--incoming\" exists there already");
    CU_ASSERT_EQUAL(check(true, UUID), 0);
    finds("name", "\"web1--incoming\" exists there already");
    fake_host_free();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a second domain of the uuid", test_second_uuid},
        {"within one host", test_within_one_host},
        {"names", test_names},
        CU_TEST_INFO_NULL,
    };

    return run_suite("check uuid", tests);
}
