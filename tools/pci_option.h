/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The value of `xl migrate --detach-pci`. */
#ifndef XF_PCI_OPTION_H
#define XF_PCI_OPTION_H

#include "libxl-ext/libxl_ext.h"

/* Add to *o what one --detach-pci says: NULL (nothing), "HERE=THERE", "HERE=none" or "none". EINVAL
 * names what it takes. Pure. */
int pci_option_take(const char *value, struct xf_move_opts *o, struct xf_err *err);

#endif
