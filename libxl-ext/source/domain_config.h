/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The configuration sent with a domain: its own, or a file's (-C). */
#ifndef XF_DOMAIN_CONFIG_H
#define XF_DOMAIN_CONFIG_H

#include <libxl.h>

#include "libxl-ext/peer/check.h"
#include "libxl-ext/libxl_ext.h"
#include "libxl-ext/xen/toollog.h"

/*
 * Fill *config (initialised by the caller, who disposes of it) as stock `xl migrate` would: the
 * running domain's configuration, or that of o->config_file, which the real xl reads (`xl create
 * -n`), so that its syntax is xl's and not ours. One exception: the uuid is always the domain's
 * own, because a move keeps the guest's identity and both hosts know the guest by its uuid. A file
 * with another uuid adds a refusal, "uuid", to the findings.
 */
int xf_domain_config(libxl_ctx *ctx, struct xf_toollog *log, uint32_t domid,
                     const struct xf_move_opts *o, libxl_domain_config *config,
                     struct xf_findings *found, struct xf_err *err);

#endif
