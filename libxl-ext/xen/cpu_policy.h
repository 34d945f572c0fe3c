/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The places of CPU features (libxl-ext/cpu.h) in a CPU policy, and what Xen here offers.
 */
#ifndef XF_CPU_POLICY_H
#define XF_CPU_POLICY_H

#include <xenctrl.h>

#include "libxl-ext/cpu.h"

/* Where the words of the featureset are. */
struct xf_cpu_place {
    uint32_t leaf;    /* or the MSR */
    uint32_t subleaf; /* XEN_CPUID_NO_SUBLEAF: it has none */
    uint8_t reg;      /* 0 to 3: EAX to EDX; of an MSR: its half */
    bool msr;
    uint32_t ignore; /* bits that are not capabilities */
};
#define XF_CPU_PLACES 19u
extern const struct xf_cpu_place xf_cpu_places[XF_CPU_PLACES];

/* The leaves with such words or with a level's limits, in order. */
struct xf_cpu_leaf {
    uint32_t leaf, subleaf; /* XEN_CPUID_NO_SUBLEAF: it has none */
};
#define XF_CPU_LEAVES 11u
extern const struct xf_cpu_leaf xf_cpu_leaves[XF_CPU_LEAVES];

/*
 * The level and the vendor of a policy: arrays of xen_cpuid_leaf_t and xen_msr_entry_t, lengths in
 * bytes, from anywhere. Of a leaf that is there twice all bits count. Without leaf 0 the vendor is
 * empty. Pure.
 */
void xf_cpu_of_policy(const void *cpuid, uint32_t cpuid_len, const void *msrs, uint32_t msr_len,
                      struct xf_cpu_level *out, char vendor[XF_CPU_VENDOR]);

/* What Xen here offers to HVM and PVH guests. */
int xf_cpu_read(xc_interface *xch, struct xf_cpu *out, struct xf_err *err);

#endif
