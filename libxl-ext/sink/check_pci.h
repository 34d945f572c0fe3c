/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHECK at the destination: the PCI devices that the guest is to get here when it runs. */
#ifndef XF_CHECK_PCI_H
#define XF_CHECK_PCI_H

#include "libxl-ext/peer/check.h"

/* A finding for each device of hello->pci that this host could not attach now, and one if it could
 * attach none at all. Asks libxl only if there are any. */
void xf_check_pci(libxl_ctx *ctx, const struct xf_hello *hello, bool same_host,
                  struct xf_findings *f);

#endif
