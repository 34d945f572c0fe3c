/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHECK at the destination: the PCI devices that the guest is to get here. See check_pci.h. */
#include "libxl-ext/sink/check_pci.h"

#include <string.h>

#include "libxl-ext/xen/pci.h"

void xf_check_pci(libxl_ctx *ctx, const struct xf_hello *hello, bool same_host,
                  struct xf_findings *f)
{
    libxl_physinfo host;
    libxl_device_pci *list;
    int n = 0;

    if (!hello->nr_pci)
        return;
    libxl_physinfo_init(&host);
    if (libxl_get_physinfo(ctx, &host) || !host.cap_hvm_directio)
        xf_find(
            f, XF_REFUSAL, "pci-missing",
            "Xen there uses no IOMMU, so no PCI device can be attached there; turn it on (in the "
            "firmware, and iommu=1 on Xen's command line), or use --detach-pci=none");
    libxl_physinfo_dispose(&host);
    list = libxl_device_pci_assignable_list(ctx, &n);
    for (unsigned i = 0; i < hello->nr_pci; i++) {
        const struct xf_pci_wish *w = &hello->pci[i];

        /* Within one host the guest has it until it is detached. */
        if ((same_host && !strcmp(w->addr, w->of)) || xf_pci_listed(list, n, w->addr))
            continue;
        xf_find(f, XF_REFUSAL, "pci-missing",
                "PCI device %s, for the guest's %s, is not assignable there, or another guest has "
                "it: `xl pci-assignable-add %s` there, or name another one, or none "
                "(--detach-pci=%s=none)",
                w->addr, w->of, w->addr, w->of);
    }
    libxl_device_pci_assignable_list_free(list, n);
}
