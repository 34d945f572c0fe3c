/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What finishing a move (recover.c) and taking its guest back (recover_resume.c) have in common:
 * which domain is meant, whether its record applies, and where the guest is. Private to them.
 */
#ifndef XF_RECOVER_H
#define XF_RECOVER_H

#include <libxl.h>

#include "libxl-ext/xen/domain_here.h"
#include "libxl-ext/libxl_ext.h"
#include "libxl-ext/moves/record.h"

/* From a name or number, the domain here, even if its copy on the same host has its name. ESRCH. */
int xf_recover_domain(libxl_ctx *ctx, const char *domain, uint32_t *domid, struct xf_err *err);
/* xf_record_lock() with an error for whoever waits for the move's end. */
int xf_recover_lock(uint32_t domid, int *fd, struct xf_err *err);
bool xf_recover_has_record(uint32_t domid);

/* Length of the domain's own name within the name of a domain that has moved away; 0 for any other
 * name. */
size_t xf_recover_own_name(const char *away);

/* How the record stored under a domain number relates to the domain that has this number now. */
enum xf_fit {
    XF_FIT_ITS,   /* of this domain's last move */
    XF_FIT_OLD,   /* of an earlier boot: ignored */
    XF_FIT_OTHER, /* of this boot, but of another domain or an earlier move */
};
/* *here: the domain's state. -1: it is gone, or its state cannot be read. */
int xf_recover_fit(libxl_ctx *ctx, xc_interface *xch, uint32_t domid, const struct xf_record *r,
                   enum xf_fit *fit, enum xf_dom *here, struct xf_err *err);
/* The error for XF_FIT_OTHER, with the remedies: ESTALE. Always returns -1. */
int xf_recover_misfit(const char *domain, uint32_t domid, const struct xf_record *r,
                      struct xf_err *err);

/* Where the guest is according to the destination, in ascending order of what is there. */
enum xf_where {
    XF_WHERE_SILENT,   /* it could not be asked */
    XF_WHERE_NOWHERE,  /* nothing with its name or uuid exists there */
    XF_WHERE_OTHER,    /* a domain that the move did not bring there */
    XF_WHERE_DYING,    /* a domain that is being destroyed */
    XF_WHERE_INCOMING, /* a copy that has not run yet */
    XF_WHERE_LACKING,  /* there, with pages missing */
    XF_WHERE_WHOLE,    /* there, complete */
};
/* Ask the destination. why: for XF_WHERE_SILENT the reason, for XF_WHERE_OTHER and _DYING the
 * domain found. cancel as in xf_move_opts; may be NULL. */
enum xf_where xf_recover_ask(libxl_ctx *ctx, const struct xf_record *r,
                             const volatile sig_atomic_t *cancel, struct xf_err *why);

#endif
