/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What finishing a move (recover.c) and taking its guest back (recover_resume.c) have in common:
 * which domain is meant, what its record is worth, and where the guest is. Private to them.
 */
#ifndef XF_RECOVER_H
#define XF_RECOVER_H

#include <libxl.h>

#include "libxl-ext/xen/domain_here.h"
#include "libxl-ext/libxl_ext.h"
#include "libxl-ext/moves/record.h"

/* Name or number to the domain here, also if its copy within one host has its name. ESRCH. */
int xf_recover_domain(libxl_ctx *ctx, const char *domain, uint32_t *domid, struct xf_err *err);
/* xf_record_lock() with words for whoever waits for the move's end. */
int xf_recover_lock(uint32_t domid, int *fd, struct xf_err *err);
bool xf_recover_has_record(uint32_t domid);

/* How much of a name is the domain's own, if it is one of a domain that has moved away; else 0. */
size_t xf_recover_own_name(const char *away);

/* What the record of a domain's number says of the domain that has it now. */
enum xf_fit {
    XF_FIT_ITS,   /* it is this domain's last move */
    XF_FIT_OLD,   /* of an earlier boot: as if there were none */
    XF_FIT_OTHER, /* of this boot, and not of this domain, or not of its last move */
};
/* *here: where the domain stands. -1: it is gone, or cannot be asked about. */
int xf_recover_fit(libxl_ctx *ctx, xc_interface *xch, uint32_t domid, const struct xf_record *r,
                   enum xf_fit *fit, enum xf_dom *here, struct xf_err *err);
/* XF_FIT_OTHER in words, with the ways out. ESTALE; always -1. */
int xf_recover_misfit(const char *domain, uint32_t domid, const struct xf_record *r,
                      struct xf_err *err);

/* Where the destination says that the guest is, the more the further down. */
enum xf_where {
    XF_WHERE_SILENT,   /* it could not be asked */
    XF_WHERE_NOWHERE,  /* nothing of its name or uuid is there */
    XF_WHERE_OTHER,    /* something is, which is not what the move brought there */
    XF_WHERE_DYING,    /* something is, which is being destroyed */
    XF_WHERE_INCOMING, /* a copy that did not run yet */
    XF_WHERE_LACKING,  /* there, with pages missing */
    XF_WHERE_WHOLE,    /* there, complete */
};
/* Ask it. why: the reason of XF_WHERE_SILENT, what is there of XF_WHERE_OTHER and _DYING. cancel
 * as in xf_move_opts; may be NULL. */
enum xf_where xf_recover_ask(libxl_ctx *ctx, const struct xf_record *r,
                             const volatile sig_atomic_t *cancel, struct xf_err *why);

#endif
