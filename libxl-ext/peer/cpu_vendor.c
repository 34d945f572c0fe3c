/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The CPU vendor under which a guest was booted: see check.h. */
#include "libxl-ext/peer/check.h"

#include <string.h>

/* CPUID leaf 0 has the vendor's name in EBX, EDX, ECX. False: no such leaf. */
static bool vendor(const void *leaves, uint32_t len, char out[XF_VENDOR])
{
    const xen_cpuid_leaf_t *l = leaves;

    for (uint32_t i = 0; i < len / sizeof(*l); i++) {
        if (l[i].leaf || l[i].subleaf != XEN_CPUID_NO_SUBLEAF)
            continue;
        memcpy(out, &l[i].b, 4);
        memcpy(out + 4, &l[i].d, 4);
        memcpy(out + 8, &l[i].c, 4);
        out[12] = 0;
        for (char *c = out; c < out + 12; c++) /* it goes into a sentence */
            if (*c < 0x20 || *c > 0x7e)
                *c = '?';
        return true;
    }
    return false;
}

bool xf_policy_vendors_differ(const void *guest, uint32_t guest_len, const void *host,
                              uint32_t host_len, char guest_vendor[XF_VENDOR],
                              char host_vendor[XF_VENDOR])
{
    return vendor(guest, guest_len, guest_vendor) && vendor(host, host_len, host_vendor) &&
           strcmp(guest_vendor, host_vendor) != 0;
}
