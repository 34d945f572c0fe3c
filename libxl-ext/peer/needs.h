/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a domain's configuration takes for granted on its host: files, devices, bridges, scripts,
 * backend domains. The source lists it (needs.c) and sends the list in the hello; the destination
 * looks (check_needs.c), so that CHECK finds at once what xl would stumble on one by one.
 */
#ifndef XF_NEEDS_H
#define XF_NEEDS_H

#include <libxl.h>

#include "libxl-ext/peer/bootstrap.h"
#include "libxl-ext/peer/check.h"

/* The word on the wire, or NULL. */
const char *xf_need_word(enum xf_need_kind kind);

/*
 * What the configuration needs; *list is malloc()ed, *n at most XF_NEEDS_MAX. What cannot be asked
 * for (too many, a name too long or with control characters) is a warning in f. -1: no memory.
 */
int xf_needs_of(const libxl_domain_config *config, struct xf_need **list, unsigned *n,
                struct xf_findings *f, struct xf_err *err);

/* Where things are on this host; tests have others. */
struct xf_host_paths {
    const char *scripts; /* of hotplug */
    const char *net;     /* a directory for each network interface */
};
extern const struct xf_host_paths xf_host_paths;

/* Look for each, and add a finding for what is not here. Opens nothing. */
void xf_check_needs(libxl_ctx *ctx, const struct xf_host_paths *paths, const struct xf_need *list,
                    unsigned n, struct xf_findings *f);

#endif
