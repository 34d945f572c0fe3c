/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What became of a domain at the source: does it still run, and if not, why? */
#ifndef XF_XEN_HERE_H
#define XF_XEN_HERE_H

#include <xenctrl.h>

#include "libxl-ext/libxl_ext.h"
#include "transport/err.h"

/* One hypercall. A domain that is gone, or that cannot be asked for, was destroyed; one that has
 * crashed or ended and is being destroyed for it has crashed or ended. */
enum xf_here xf_xen_here(xc_interface *xch, uint32_t domid);
/* The same from what Xen has said of it. Pure. */
enum xf_here xf_here_of(const xc_domaininfo_t *info);

/* Does it run, or may it run again by itself or by `xl unpause`? */
bool xf_here_lives(enum xf_here here);
/* To follow "the guest ": "has crashed", "was destroyed", ... */
const char *xf_here_text(enum xf_here here);

#endif
