/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading a domain's state other than its pages: see static_state.h. */
#include "libxl-ext/xen/static_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xenguest.h>
#include <xen/hvm/params.h>
#include <xen/hvm/save.h>

int xf_read_tsc(xc_interface *xch, uint32_t domid, struct xf_tsc *out, struct xf_err *err)
{
    int rc =
        xc_domain_get_tsc_info(xch, domid, &out->mode, &out->nsec, &out->khz, &out->incarnation);

    if (rc < 0)
        return xf_fail(err, errno, "cannot read the TSC of domain %u: %s", domid, strerror(errno));
    return 0;
}

int xf_read_params(xc_interface *xch, uint32_t domid, struct xf_param *params, uint32_t *n,
                   struct xf_err *err)
{
    /* clang-format off */
    static const uint32_t wanted[] = {
        HVM_PARAM_STORE_PFN,             HVM_PARAM_IOREQ_PFN,
        HVM_PARAM_BUFIOREQ_PFN,          HVM_PARAM_PAGING_RING_PFN,
        HVM_PARAM_MONITOR_RING_PFN,      HVM_PARAM_SHARING_RING_PFN,
        HVM_PARAM_VM86_TSS_SIZED,        HVM_PARAM_CONSOLE_PFN,
        HVM_PARAM_ACPI_IOPORTS_LOCATION, HVM_PARAM_VIRIDIAN,
        HVM_PARAM_IDENT_PT,              HVM_PARAM_VM_GENERATION_ID_ADDR,
        HVM_PARAM_IOREQ_SERVER_PFN,      HVM_PARAM_NR_IOREQ_SERVER_PAGES,
        HVM_PARAM_X87_FIP_WIDTH,         HVM_PARAM_MCA_CAP,
    };
    /* clang-format on */

    *n = 0;
    for (unsigned i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        uint64_t value = 0;

        if (xc_hvm_param_get(xch, domid, wanted[i], &value))
            return xf_fail(err, errno, "cannot read HVM parameter %u of domain %u: %s", wanted[i],
                           domid, strerror(errno));
        if (value)
            params[(*n)++] = (struct xf_param){.index = wanted[i], .value = value};
    }
    return 0;
}

int xf_read_context(xc_interface *xch, uint32_t domid, void **blob, uint32_t *len,
                    struct xf_err *err)
{
    int size = xc_domain_hvm_getcontext(xch, domid, NULL, 0);

    *blob = NULL;
    if (size <= 0)
        return xf_fail(err, errno, "cannot size the HVM context of domain %u: %s", domid,
                       strerror(errno));
    *blob = calloc(1, (size_t)size);
    if (!*blob)
        return xf_fail(err, ENOMEM, "out of memory for %d bytes of HVM context", size);
    size = xc_domain_hvm_getcontext(xch, domid, *blob, (uint32_t)size);
    if (size <= 0) {
        xf_fail(err, errno, "cannot read the HVM context of domain %u: %s", domid, strerror(errno));
        free(*blob);
        *blob = NULL;
        return -1;
    }
    *len = (uint32_t)size;
    return 0;
}

/* Length of the entry at b, which has `left` bytes; 0: invalid. */
static uint32_t entry_size(const uint8_t *b, uint32_t left, uint16_t *code)
{
    struct hvm_save_descriptor d;

    if (left < sizeof(d))
        return 0;
    memcpy(&d, b, sizeof(d));
    *code = d.typecode;
    return d.length <= left - sizeof(d) ? (uint32_t)sizeof(d) + d.length : 0;
}

void xf_context_outline(void *blob, uint32_t *len)
{
    uint8_t *b = blob;
    uint32_t first = 0, last = 0, size;
    uint16_t code;

    for (uint32_t at = 0; at < *len; at += size) {
        if (!(size = entry_size(b + at, *len - at, &code)))
            return;
        if (!at)
            first = size;
        last = at;
    }
    if (last <= first)
        return;
    memmove(b + first, b + last, *len - last);
    *len = first + *len - last;
}

int xf_read_policy(xc_interface *xch, uint32_t domid, void **cpuid, uint32_t *cpuid_len,
                   void **msrs, uint32_t *msr_len, struct xf_err *err)
{
    uint32_t nr_leaves = 0, nr_msrs = 0;
    xc_cpu_policy_t *policy = NULL;
    int rc = -1;

    *cpuid = *msrs = NULL;
    if (xc_cpu_policy_get_size(xch, &nr_leaves, &nr_msrs) < 0)
        return xf_fail(err, errno, "cannot size the CPU policy: %s", strerror(errno));
    *cpuid = calloc(nr_leaves + 1, sizeof(xen_cpuid_leaf_t));
    *msrs = calloc(nr_msrs + 1, sizeof(xen_msr_entry_t));
    policy = xc_cpu_policy_init();
    if (!*cpuid || !*msrs || !policy)
        xf_fail(err, ENOMEM, "out of memory for the CPU policy");
    else if (xc_cpu_policy_get_domain(xch, domid, policy) ||
             xc_cpu_policy_serialise(xch, policy, *cpuid, &nr_leaves, *msrs, &nr_msrs))
        xf_fail(err, errno, "cannot read the CPU policy of domain %u: %s", domid, strerror(errno));
    else
        rc = 0;
    if (policy)
        xc_cpu_policy_destroy(policy);
    if (rc) {
        free(*cpuid);
        free(*msrs);
        *cpuid = *msrs = NULL;
        return -1;
    }
    *cpuid_len = nr_leaves * (uint32_t)sizeof(xen_cpuid_leaf_t);
    *msr_len = nr_msrs * (uint32_t)sizeof(xen_msr_entry_t);
    return 0;
}

static uint64_t value_of(const struct xf_param *params, uint32_t n, uint64_t index)
{
    for (uint32_t i = 0; i < n; i++)
        if (params[i].index == index)
            return params[i].value;
    return 0;
}

static unsigned add_gfn(uint64_t gfn, uint64_t nr_gfns, uint64_t *out, unsigned n, unsigned max)
{
    if (gfn && gfn < nr_gfns && n < max)
        out[n++] = gfn;
    return n;
}

unsigned xf_ring_gfns(const struct xf_param *params, uint32_t n, uint64_t nr_gfns, uint64_t *out,
                      unsigned max)
{
    static const uint32_t rings[] = {
        HVM_PARAM_STORE_PFN,        HVM_PARAM_CONSOLE_PFN,     HVM_PARAM_IOREQ_PFN,
        HVM_PARAM_BUFIOREQ_PFN,     HVM_PARAM_PAGING_RING_PFN, HVM_PARAM_MONITOR_RING_PFN,
        HVM_PARAM_SHARING_RING_PFN,
    };
    uint64_t ioreq = value_of(params, n, HVM_PARAM_IOREQ_SERVER_PFN);
    uint64_t nr_ioreq = value_of(params, n, HVM_PARAM_NR_IOREQ_SERVER_PAGES);
    unsigned nr = 0;

    for (unsigned i = 0; i < sizeof(rings) / sizeof(rings[0]); i++)
        nr = add_gfn(value_of(params, n, rings[i]), nr_gfns, out, nr, max);
    for (uint64_t i = 0; ioreq && i < nr_ioreq && i < 64; i++)
        nr = add_gfn(ioreq + i, nr_gfns, out, nr, max);
    return nr;
}

unsigned xf_special_gfns(const struct xf_param *params, uint32_t n, uint64_t nr_gfns, uint64_t *out,
                         unsigned max)
{
    uint64_t tss = value_of(params, n, HVM_PARAM_VM86_TSS_SIZED);
    unsigned nr = xf_ring_gfns(params, n, nr_gfns, out, max);

    nr = add_gfn(value_of(params, n, HVM_PARAM_IDENT_PT) >> XC_PAGE_SHIFT, nr_gfns, out, nr, max);
    /* Address in the low half, size in the high (xen/include/public/hvm/params.h). */
    nr = add_gfn((tss & 0xffffffffu) >> XC_PAGE_SHIFT, nr_gfns, out, nr, max);
    /* libxl writes the id when it has restored the domain, and fails without the page
     * (libxl__ms_vm_genid_set(), tools/libs/light/libxl_genid.c). */
    nr = add_gfn(value_of(params, n, HVM_PARAM_VM_GENERATION_ID_ADDR) >> XC_PAGE_SHIFT, nr_gfns,
                 out, nr, max);
    return nr;
}
