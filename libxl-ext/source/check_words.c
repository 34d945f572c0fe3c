/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Does the destination's Xenferry compare all CPU features of the guest? See check.h. */
#include "libxl-ext/peer/check.h"

#include "libxl-ext/xen/cpu_policy.h"
#include "transport/version.h"

/* An older receiver compares the words before this one; Xen would clear features of the others. */
#define OLD_WORDS 11u

void xf_find_uncompared(const struct xf_hello *h, const struct xf_reply *r, struct xf_findings *f)
{
    char vendor[XF_CPU_VENDOR];
    struct xf_cpu_level guest;
    bool others = false;

    xf_cpu_of_policy(h->cpuid, h->cpuid_len, h->msrs, h->msr_len, &guest, vendor);
    for (unsigned w = OLD_WORDS; w < XF_CPU_WORDS; w++)
        others |= guest.words[w] != 0;
    if (others && !r->cpu_words)
        xf_find(f, XF_WARNING, "cpu-policy",
                "the destination's Xenferry does not compare all CPU features of the guest, which "
                "may lose some there; install this version (%s) there",
                xf_version());
}
