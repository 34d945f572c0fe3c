/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Applying at the destination changes made to a guest at the source during its move. */
#ifndef XF_FOLLOW_H
#define XF_FOLLOW_H

#include <libxl.h>

#include "libxl-ext/xen/toollog.h"
#include "transport/wire.h"

/* May the copy be given this name at the end? -1: another domain here has it. same_host: the domain
 * that moves may have it, since it gives the name up before GO. */
int xf_follow_name(libxl_ctx *ctx, const char *name, bool same_host, struct xf_err *err);
/* Tell the copy which of its vCPUs it shall have online. */
int xf_follow_online(libxl_ctx *ctx, struct xf_toollog *log, uint32_t domid,
                     const struct xf_follow *f, struct xf_err *err);

#endif
