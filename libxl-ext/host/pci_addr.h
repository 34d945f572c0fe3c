/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses of PCI devices as text. Pure. */
#ifndef XF_PCI_ADDR_H
#define XF_PCI_ADDR_H

#include <stdbool.h>

#include "libxl-ext/libxl_ext.h"

/* The parts of an address: domain, bus, device, function. */
struct xf_pci_parts {
    unsigned domain, bus, dev, func;
};

/*
 * Is this a PCI address, "[DDDD:]BB:DD.F" in hexadecimal? Then it is written to out in full and in
 * lower case. Nothing else is accepted: no sign, no space, no other length.
 */
bool xf_pci_addr(const char *text, char out[XF_PCI_ADDR]);
/* The same into numbers. */
bool xf_pci_parse(const char *text, struct xf_pci_parts *out);
/* Back into text; only the low 16, 8, 5 and 3 bits count. */
void xf_pci_print(const struct xf_pci_parts *p, char out[XF_PCI_ADDR]);

#endif
