/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CPU features in a CPU policy, and what Xen here offers: see cpu_policy.h. */
#include "libxl-ext/xen/cpu_policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xenguest.h>

#include "libxl-ext/xen/toollog.h"
#include "libxl-ext/xen/xen_open.h"

#define ARCH_CAPS 0x10au

enum { EAX, EBX, ECX, EDX };
#define PLAIN XEN_CPUID_NO_SUBLEAF

/* The order is Xen's. Ignored: HTT and CMP_LEGACY describe the topology, OSXSAVE and OSPKE follow
 * CR4. AMD repeats part of leaf 1's EDX in 0x80000001; Xen fills that in for a domain and leaves it
 * empty in a system policy. */
const struct xf_cpu_place xf_cpu_places[XF_CPU_PLACES] = {
    {0x00000001, PLAIN, EDX, false, 1u << 28},
    {0x00000001, PLAIN, ECX, false, 1u << 27},
    {0x80000001, PLAIN, EDX, false, 0x0183f3ff},
    {0x80000001, PLAIN, ECX, false, 1u << 1},
    {0x0000000d, 1, EAX, false, 0},
    {0x00000007, 0, EBX, false, 0},
    {0x00000007, 0, ECX, false, 1u << 4},
    {0x80000007, PLAIN, EDX, false, 0},
    {0x80000008, PLAIN, EBX, false, 0},
    {0x00000007, 0, EDX, false, 0},
    {0x00000007, 1, EAX, false, 0},
    {0x80000021, PLAIN, EAX, false, 0},
    {0x00000007, 1, EBX, false, 0},
    {0x00000007, 2, EDX, false, 0},
    {0x00000007, 1, ECX, false, 0},
    {0x00000007, 1, EDX, false, 0},
    {ARCH_CAPS, 0, 0, true, 0},
    {ARCH_CAPS, 0, 1, true, 0},
    {0x80000021, PLAIN, ECX, false, 0},
};

const struct xf_cpu_leaf xf_cpu_leaves[XF_CPU_LEAVES] = {
    {0, PLAIN},
    {1, PLAIN},
    {7, 0},
    {7, 1},
    {7, 2},
    {0xd, 1},
    {0x80000000, PLAIN},
    {0x80000001, PLAIN},
    {0x80000007, PLAIN},
    {0x80000008, PLAIN},
    {0x80000021, PLAIN},
};

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* CPUID leaf 0 has the vendor's name in EBX, EDX, ECX. It goes into a sentence. */
static void name_vendor(const xen_cpuid_leaf_t *l, char out[XF_CPU_VENDOR])
{
    memcpy(out, &l->b, 4);
    memcpy(out + 4, &l->d, 4);
    memcpy(out + 8, &l->c, 4);
    out[12] = 0;
    for (char *c = out; c < out + 12; c++)
        if (*c < 0x20 || *c > 0x7e)
            *c = '?';
}

static void add_leaf(const xen_cpuid_leaf_t *l, struct xf_cpu_level *out,
                     char vendor[XF_CPU_VENDOR])
{
    const uint32_t regs[] = {l->a, l->b, l->c, l->d};

    if (l->leaf == 0) {
        out->leaf = larger(out->leaf, l->a);
        name_vendor(l, vendor);
    } else if (l->leaf == 7 && l->subleaf == 0) {
        out->subleaf = larger(out->subleaf, l->a);
    } else if (l->leaf == 0x80000000) {
        out->extended = larger(out->extended, l->a);
    }
    for (unsigned w = 0; w < XF_CPU_PLACES; w++) {
        const struct xf_cpu_place *p = &xf_cpu_places[w];

        if (!p->msr && p->leaf == l->leaf && p->subleaf == l->subleaf)
            out->words[w] |= regs[p->reg];
    }
}

static void add_msr(const xen_msr_entry_t *m, struct xf_cpu_level *out)
{
    for (unsigned w = 0; w < XF_CPU_PLACES; w++) {
        const struct xf_cpu_place *p = &xf_cpu_places[w];

        if (p->msr && p->leaf == m->idx)
            out->words[w] |= (uint32_t)(m->val >> 32 * p->reg);
    }
}

void xf_cpu_of_policy(const void *cpuid, uint32_t cpuid_len, const void *msrs, uint32_t msr_len,
                      struct xf_cpu_level *out, char vendor[XF_CPU_VENDOR])
{
    const xen_cpuid_leaf_t *leaves = cpuid;
    const xen_msr_entry_t *entries = msrs;

    memset(out, 0, sizeof(*out));
    vendor[0] = 0;
    for (uint32_t i = 0; i < cpuid_len / sizeof(*leaves); i++)
        add_leaf(&leaves[i], out, vendor);
    for (uint32_t i = 0; i < msr_len / sizeof(*entries); i++)
        add_msr(&entries[i], out);
}

/* The highest leaves and the vendor of a system policy. Its features are not taken from here: it
 * may have some in subleaves beyond its own limit, which are not listed. */
static int read_leaves(xc_interface *xch, unsigned index, struct xf_cpu_level *out,
                       char vendor[XF_CPU_VENDOR], struct xf_err *err)
{
    uint32_t nr_leaves = 0, nr_msrs = 0;
    xc_cpu_policy_t *policy = NULL;
    xen_cpuid_leaf_t *leaves;
    xen_msr_entry_t *msrs;
    int rc = -1;

    if (xc_cpu_policy_get_size(xch, &nr_leaves, &nr_msrs) < 0)
        return xf_fail(err, errno, "cannot size the CPU policy: %s", strerror(errno));
    leaves = calloc(nr_leaves + 1, sizeof(*leaves));
    msrs = calloc(nr_msrs + 1, sizeof(*msrs));
    policy = xc_cpu_policy_init();
    if (!leaves || !msrs || !policy) {
        xf_fail(err, ENOMEM, "out of memory");
    } else if (xc_cpu_policy_get_system(xch, index, policy) ||
               xc_cpu_policy_serialise(xch, policy, leaves, &nr_leaves, msrs, &nr_msrs)) {
        xf_fail(err, errno, "cannot read the CPU policy of this host: %s", strerror(errno));
    } else {
        xf_cpu_of_policy(leaves, nr_leaves * (uint32_t)sizeof(*leaves), NULL, 0, out, vendor);
        rc = 0;
    }
    if (policy)
        xc_cpu_policy_destroy(policy);
    free(leaves);
    free(msrs);
    return rc;
}

static int read_words(xc_interface *xch, uint32_t index, uint32_t words[XF_CPU_WORDS],
                      struct xf_err *err)
{
    uint32_t nr = XF_CPU_WORDS;

    memset(words, 0, XF_CPU_WORDS * sizeof(*words));
    /* ENOBUFS: this Xen has more words. All guests are compared by the first ones, then. */
    if (xc_get_cpu_featureset(xch, index, &nr, words) && errno != ENOBUFS)
        return xf_fail(err, errno, "cannot read the CPU features of this host: %s",
                       strerror(errno));
    return 0;
}

int xf_cpu_read(xc_interface *xch, struct xf_cpu *out, struct xf_err *err)
{
    memset(out, 0, sizeof(*out));
    if (read_leaves(xch, XEN_SYSCTL_cpu_policy_hvm_default, &out->usual, out->vendor, err) ||
        read_leaves(xch, XEN_SYSCTL_cpu_policy_hvm_max, &out->most, out->vendor, err) ||
        read_words(xch, XEN_SYSCTL_cpu_featureset_hvm, out->usual.words, err))
        return -1;
    return read_words(xch, XEN_SYSCTL_cpu_featureset_hvm_max, out->most.words, err);
}

int xf_cpu_here(struct xf_cpu *out, struct xf_err *err)
{
    struct xf_toollog log;
    xc_interface *xch;
    int rc;

    xf_toollog_init(&log);
    if (xf_xen_open(&xch, &log, err))
        return -1;
    rc = xf_cpu_read(xch, out, err);
    xc_interface_close(xch);
    return rc;
}
