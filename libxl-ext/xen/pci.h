/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PCI devices passed through to a domain of this host, by libxl. What libxl waits for, and when its
 * answer is wrong: docs/xen-notes.md, "PCI devices". The thread that owns ctx; log is ctx's.
 */
#ifndef XF_PCI_H
#define XF_PCI_H

#include <libxl.h>

#include "libxl-ext/host/pci_addr.h"
#include "libxl-ext/xen/toollog.h"
#include "transport/tick.h"

void xf_pci_name(const libxl_device_pci *d, char out[XF_PCI_ADDR]);

/* Does the list, of n devices, have the one of this address? */
bool xf_pci_listed(const libxl_device_pci *list, int n, const char *addr);

/*
 * Ask the guest to release a device, and wait: libxl gives up after about 10 s, and nothing can end
 * it before. So tick is called meanwhile, and what it returns is ignored. 0: the guest does not
 * have the device any more. -1: it still has, or libxl cannot say (EBUSY); it may release it later.
 */
int xf_pci_detach(libxl_ctx *ctx, struct xf_toollog *log, uint32_t domid, const libxl_device_pci *d,
                  struct xf_tick tick, struct xf_err *err);

/* Give the domain a device that is assignable here. Waits as long, and likewise. EIO: it has not
 * got it. */
int xf_pci_attach(libxl_ctx *ctx, struct xf_toollog *log, uint32_t domid, const libxl_device_pci *d,
                  struct xf_err *err);

#endif
