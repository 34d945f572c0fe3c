/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The state of a domain of this host: the only place that asks Xen. A domain's number alone is no
 * identity, because numbers are reused: before destroying or resuming a domain by its number,
 * callers ask xf_domain_here(), which checks the uuid.
 *
 * Each call is one hypercall. Any thread with its own handle.
 */
#ifndef XF_DOMAIN_HERE_H
#define XF_DOMAIN_HERE_H

#include <xenctrl.h>

#include "libxl-ext/libxl_ext.h"

/* Xen's information about the domain. -1 with errno ESRCH: no domain has this number; with any
 * other errno: Xen did not answer. */
int xf_domain_info(xc_interface *xch, uint32_t domid, xc_domaininfo_t *info);

/* --- which domain is it, and has a move left it there? --- */

enum xf_dom {
    XF_DOM_UNKNOWN,   /* Xen did not answer: it may be any of these */
    XF_DOM_GONE,      /* no domain has this number */
    XF_DOM_OTHER,     /* a domain with another uuid has it */
    XF_DOM_DYING,     /* it is being destroyed */
    XF_DOM_SUSPENDED, /* as a move leaves it */
    XF_DOM_RUNS,      /* neither: it runs, is paused, or has ended */
};

/* The state of domain domid with this uuid (text, as in the hello). */
enum xf_dom xf_domain_here(xc_interface *xch, uint32_t domid, const char *uuid);

/* --- does it still run, and if not, why? For one whose number is known to be right --- */

/* A domain that is gone, or whose state cannot be read, counts as destroyed; one that crashed or
 * ended and is therefore being destroyed counts as crashed or ended. */
enum xf_here xf_xen_here(xc_interface *xch, uint32_t domid);
/* The same from Xen's information. Pure. */
enum xf_here xf_here_of(const xc_domaininfo_t *info);

/* Does it run, or may it run again on its own or by `xl unpause`? */
bool xf_here_lives(enum xf_here here);
/* To follow "the guest ": "has crashed", "was destroyed", ... */
const char *xf_here_text(enum xf_here here);

#endif
