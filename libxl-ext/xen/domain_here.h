/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What has become of a domain of this host. Its number alone says nothing: numbers are given
 * again. So whoever is about to destroy or resume a domain by its number asks here first.
 */
#ifndef XF_DOMAIN_HERE_H
#define XF_DOMAIN_HERE_H

#include <libxl.h>

enum xf_dom {
    XF_DOM_UNKNOWN,   /* Xen did not answer */
    XF_DOM_GONE,      /* no domain has this number */
    XF_DOM_OTHER,     /* one with another uuid has it */
    XF_DOM_DYING,     /* it is being destroyed */
    XF_DOM_SUSPENDED, /* as a move leaves it */
    XF_DOM_RUNS,      /* neither: it runs, is paused, or has ended */
};

/* Where domain domid with this uuid (text, as in the hello) stands. Any thread with a context of
 * its own. */
enum xf_dom xf_domain_here(libxl_ctx *ctx, uint32_t domid, const char *uuid);

#endif
