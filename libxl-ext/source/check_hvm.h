/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHECK: properties of a guest with a device model that prevent a move. */
#ifndef XF_CHECK_HVM_H
#define XF_CHECK_HVM_H

#include "libxl-ext/peer/check.h"
#include "libxl-ext/xen/qmp_commands.h"

/* What its device model says. */
struct xf_model {
    struct xf_qmp_version version; /* zeros if it did not answer */
    bool video_unmapped;           /* xf_qmp_video_unmapped() */
};

/*
 * Examine the guest's configuration, and ask its device model; that it does not answer is a
 * finding. xf_check_source() has examined what all kinds have in common.
 */
void xf_check_hvm(xc_interface *xch, uint32_t domid, const libxl_domain_config *config,
                  struct xf_findings *f, struct xf_model *model);

/* Does its device model run without privileges? Pure. */
bool xf_check_restricted(const libxl_domain_config *config);
/* Is there a reason why its devices can only be attached in SWITCH? Then it is an XF_INFO. */
bool xf_check_late(const libxl_domain_config *config, const struct xf_model *model,
                   struct xf_findings *f);

/*
 * *why: the reason why no page of the guest may be absent when it runs at the destination, a clause
 * that follows "since "; NULL: none. asked: post-copy was asked for, and not only allowed. Any kind
 * but PV. -1: Xen did not answer.
 */
int xf_check_whole(xc_interface *xch, uint32_t domid, bool device_model, bool asked,
                   const char **why, struct xf_err *err);

#endif
