/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses of PCI devices as text: see pci_addr.h. */
#include "libxl-ext/host/pci_addr.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Exactly `digits` hexadecimal digits, followed by `end`. */
static bool take(const char **at, unsigned digits, char end, unsigned *out)
{
    *out = 0;
    for (unsigned i = 0; i < digits; i++) {
        char digit[2] = {(*at)[i]};

        if (!isxdigit((unsigned char)digit[0]))
            return false;
        *out = *out << 4 | (unsigned)strtoul(digit, NULL, 16);
    }
    *at += digits;
    return *(*at)++ == end;
}

bool xf_pci_parse(const char *text, struct xf_pci_parts *out)
{
    const char *at = text;

    *out = (struct xf_pci_parts){0};
    if (strlen(text) == XF_PCI_ADDR - 1 && !take(&at, 4, ':', &out->domain))
        return false;
    return take(&at, 2, ':', &out->bus) && take(&at, 2, '.', &out->dev) &&
           take(&at, 1, 0, &out->func) && out->dev < 32 && out->func < 8;
}

void xf_pci_print(const struct xf_pci_parts *p, char out[XF_PCI_ADDR])
{
    snprintf(out, XF_PCI_ADDR, "%04x:%02x:%02x.%x", p->domain & 0xffff, p->bus & 0xff, p->dev & 31,
             p->func & 7);
}

bool xf_pci_addr(const char *text, char out[XF_PCI_ADDR])
{
    struct xf_pci_parts p;

    if (!xf_pci_parse(text, &p))
        return false;
    xf_pci_print(&p, out);
    return true;
}
