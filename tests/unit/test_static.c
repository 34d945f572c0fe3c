/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is read out of a guest's static state without asking Xen: the special gfns that
 * its HVM parameters name; and the list of findings.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <xen/hvm/params.h>
#include <xen/hvm/save.h>

#include "libxl-ext/peer/check.h"
#include "libxl-ext/xen/static_state.h"
#include "tests/unit/suite.h"

#define NR 0x100000ull

static const struct xf_param params[] = {
    {HVM_PARAM_STORE_PFN, 0xfeffc},
    {HVM_PARAM_CONSOLE_PFN, 0xfeffd},
    {HVM_PARAM_IOREQ_SERVER_PFN, 0xfeff0},
    {HVM_PARAM_NR_IOREQ_SERVER_PAGES, 3},
    {HVM_PARAM_IDENT_PT, 0xfeffe123},                          /* an address: the page is 0xfeffe */
    {HVM_PARAM_VM86_TSS_SIZED, 0x18000000000ull | 0xfefff000}, /* size above, address below */
    {HVM_PARAM_VIRIDIAN, 0x77},                                /* no gfn */
    {HVM_PARAM_ACPI_IOPORTS_LOCATION, 1},
};
#define NPARAMS (sizeof(params) / sizeof(params[0]))

static bool has(const uint64_t *list, unsigned n, uint64_t gfn)
{
    unsigned found = 0;

    for (unsigned i = 0; i < n; i++)
        found += list[i] == gfn;
    return found == 1;
}

static void test_rings(void)
{
    uint64_t out[64];
    unsigned n = xf_ring_gfns(params, NPARAMS, NR, out, 64);

    CU_ASSERT_EQUAL(n, 5);
    CU_ASSERT(has(out, n, 0xfeffc) && has(out, n, 0xfeffd));
    CU_ASSERT(has(out, n, 0xfeff0) && has(out, n, 0xfeff1) && has(out, n, 0xfeff2));
    CU_ASSERT_EQUAL(xf_ring_gfns(params, 0, NR, out, 64), 0);
}

static void test_specials(void)
{
    uint64_t out[64];
    unsigned n = xf_special_gfns(params, NPARAMS, NR, out, 64);

    CU_ASSERT_EQUAL(n, 7);
    CU_ASSERT(has(out, n, 0xfeffe) && has(out, n, 0xfefff) && has(out, n, 0xfeffc));
}

/* libxl writes it when it has restored the domain; its page is moved like any other. */
static void test_generation_id(void)
{
    const struct xf_param id[] = {{HVM_PARAM_VM_GENERATION_ID_ADDR, 0xfc100280}};
    uint64_t out[4];

    CU_ASSERT(xf_special_gfns(id, 1, NR, out, 4) == 1 && out[0] == 0xfc100);
    CU_ASSERT_EQUAL(xf_ring_gfns(id, 1, NR, out, 4), 0);
}

/* The numbers come from a peer: nothing beyond the guest, nothing beyond the array. */
static void test_hostile_params(void)
{
    const struct xf_param bad[] = {
        {HVM_PARAM_STORE_PFN, NR},
        {HVM_PARAM_CONSOLE_PFN, UINT64_MAX},
        {HVM_PARAM_IOREQ_PFN, NR - 1},
        {HVM_PARAM_IOREQ_SERVER_PFN, NR - 2},
        {HVM_PARAM_NR_IOREQ_SERVER_PAGES, UINT64_MAX},
        {HVM_PARAM_IDENT_PT, UINT64_MAX},
        {HVM_PARAM_VM86_TSS_SIZED, UINT64_MAX},
    };
    const struct xf_param wraps[] = {{HVM_PARAM_IOREQ_SERVER_PFN, UINT64_MAX - 2},
                                     {HVM_PARAM_NR_IOREQ_SERVER_PAGES, 64}};
    uint64_t out[64];
    unsigned n;

    memset(out, 0xee, sizeof(out));
    n = xf_special_gfns(bad, 7, NR, out, 64);
    for (unsigned i = 0; i < n; i++)
        CU_ASSERT(out[i] && out[i] < NR);
    CU_ASSERT_EQUAL(n, 4); /* NR - 1 as the ring, NR - 2 and NR - 1 as ioreq pages, the TSS */
    n = xf_ring_gfns(wraps, 2, NR, out, 64);
    for (unsigned i = 0; i < n; i++)
        CU_ASSERT(out[i] && out[i] < NR);

    memset(out, 0xee, sizeof(out));
    n = xf_special_gfns(params, NPARAMS, NR, out, 3);
    CU_ASSERT_EQUAL(n, 3);
    CU_ASSERT_EQUAL(out[3], 0xeeeeeeeeeeeeeeee);
    n = xf_special_gfns(params, NPARAMS, 0xfeffd, out, 64); /* a smaller guest */
    CU_ASSERT_EQUAL(n, 4);
}

/* --- the early context --- */

static uint32_t entry(uint8_t *at, uint16_t code, uint16_t vcpu, uint32_t len)
{
    const struct hvm_save_descriptor d = {.typecode = code, .instance = vcpu, .length = len};

    memcpy(at, &d, sizeof(d));
    memset(at + sizeof(d), code + vcpu, len);
    return (uint32_t)sizeof(d) + len;
}

/* The skeleton gets no vCPU that could run and no timer that could stay behind: the first entry and
 * the last. */
static void test_outline(void)
{
    uint8_t b[400], wanted[400], copy[400];
    uint32_t n = 0, w = 0, len;

    n += entry(b + n, HVM_SAVE_CODE(HEADER), 0, 24);
    n += entry(b + n, HVM_SAVE_CODE(CPU), 0, 50);
    n += entry(b + n, HVM_SAVE_CODE(CPU), 1, 50);
    n += entry(b + n, HVM_SAVE_CODE(HPET), 0, 16);
    n += entry(b + n, HVM_SAVE_CODE(END), 0, 0);
    w += entry(wanted + w, HVM_SAVE_CODE(HEADER), 0, 24);
    w += entry(wanted + w, HVM_SAVE_CODE(END), 0, 0);
    memcpy(copy, b, n);
    len = n;
    xf_context_outline(b, &len);
    CU_ASSERT(len == w && !memcmp(b, wanted, w));
    xf_context_outline(b, &len);
    CU_ASSERT(len == w && !memcmp(b, wanted, w));
    /* Cut off, it is left as it is. */
    for (uint32_t cut = 1; cut < sizeof(struct hvm_save_descriptor); cut++) {
        memcpy(b, copy, n);
        len = n - cut;
        xf_context_outline(b, &len);
        CU_ASSERT(len == n - cut && !memcmp(b, copy, len));
    }
    len = 0;
    xf_context_outline(b, &len);
    CU_ASSERT_EQUAL(len, 0);
}

/* --- findings --- */

static void test_findings(void)
{
    struct xf_findings f = {0};

    CU_ASSERT_PTR_NULL(xf_first_refusal(&f));
    xf_find(&f, XF_WARNING, "memory", "%d MiB", 5);
    CU_ASSERT_PTR_NULL(xf_first_refusal(&f));
    xf_find(&f, XF_REFUSAL, "name", "%s", "one");
    xf_find(&f, XF_REFUSAL, "name", "%s", "two");
    CU_ASSERT_PTR_NOT_NULL_FATAL(xf_first_refusal(&f));
    CU_ASSERT_STRING_EQUAL(xf_first_refusal(&f)->text, "one");
    for (unsigned i = f.n; i < XF_FINDINGS_MAX; i++)
        xf_find(&f, XF_INFO, "a-code-that-is-longer-than-there-is-room", "%0500d", 7);
    CU_ASSERT_EQUAL(f.n, XF_FINDINGS_MAX);
    CU_ASSERT(strlen(f.list[XF_FINDINGS_MAX - 1].code) < sizeof(f.list[0].code));
    CU_ASSERT(strlen(f.list[XF_FINDINGS_MAX - 1].text) < sizeof(f.list[0].text));
}

/* More than fit: the last says how many, and a refusal among them still refuses. */
static void test_findings_more(void)
{
    const struct xf_finding *last;
    struct xf_findings f = {0};

    for (unsigned i = 0; i < XF_FINDINGS_MAX; i++)
        xf_find(&f, XF_INFO, "one", "%u", i);
    last = &f.list[XF_FINDINGS_MAX - 1];
    CU_ASSERT_STRING_EQUAL(last->code, "one");
    xf_find(&f, XF_REFUSAL, "disk-missing", "x");
    CU_ASSERT(f.n == XF_FINDINGS_MAX && xf_first_refusal(&f) == last);
    CU_ASSERT_STRING_EQUAL(last->code, "more");
    CU_ASSERT_PTR_NOT_NULL(strstr(last->text, "2 more findings"));
    xf_find(&f, XF_INFO, "one", "x");
    CU_ASSERT_PTR_NOT_NULL(strstr(last->text, "3 more findings"));
    CU_ASSERT_EQUAL(last->severity, XF_REFUSAL);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"rings", test_rings},
        {"specials", test_specials},
        {"a generation id", test_generation_id},
        {"hostile parameters", test_hostile_params},
        {"an early context without vCPUs", test_outline},
        {"findings", test_findings},
        {"more findings than fit", test_findings_more},
        CU_TEST_INFO_NULL,
    };

    return run_suite("static state", tests);
}
