/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Xen's privileged interface, of the release that this program was built for. Xen's libraries speak
 * to no other release: its control interface has a number that most releases raise.
 *
 * What differs between the releases that Xenferry is built for (4.17, 4.20), as far as the source
 * must know it, is in this file; what differs at run time is in docs/xen-notes.md.
 */
#ifndef XF_XEN_OPEN_H
#define XF_XEN_OPEN_H

#include <xenctrl.h>

#include "libxl-ext/xen/toollog.h"
#include "transport/err.h"

/* Open it for *xch, which the caller closes. ENOTSUP: another release runs here; the error names
 * both. On failure *xch is NULL. Any thread. */
int xf_xen_open(xc_interface **xch, struct xf_toollog *log, struct xf_err *err);
/* The same, closed again: for callers that need libxl alone, which says nothing of a release. */
int xf_xen_check(struct xf_toollog *log, struct xf_err *err);

#endif
