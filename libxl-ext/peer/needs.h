/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a domain's configuration requires of its host: files, devices, bridges, scripts, backend
 * domains. The source lists these needs (needs.c) and sends the list in the hello; the destination
 * checks it (check_needs.c), so that CHECK reports all at once what xl would fail on one by one.
 */
#ifndef XF_NEEDS_H
#define XF_NEEDS_H

#include <libxl.h>

#include "libxl-ext/peer/bootstrap.h"
#include "libxl-ext/peer/check.h"

/* As whom a device model without privileges runs, the first that exists: the first of a range of
 * users, one for each domain, or one for all (libxl__domain_get_device_model_uid(),
 * tools/libs/light/libxl_dm.c). */
#define XF_QEMU_RANGE "xen-qemuuser-range-base"
#define XF_QEMU_SHARED "xen-qemuuser-shared"

/* The word on the wire, or NULL. */
const char *xf_need_word(enum xf_need_kind kind);

/*
 * List what the configuration needs; *list is malloc()ed, *n at most XF_NEEDS_MAX. A need that
 * cannot be sent (too many, a name too long or with control characters) adds a warning to f. -1: no
 * memory.
 */
int xf_needs_of(const libxl_domain_config *config, struct xf_need **list, unsigned *n,
                struct xf_findings *f, struct xf_err *err);

/* Paths on this host; tests use others. */
struct xf_host_paths {
    const char *scripts; /* of hotplug */
    const char *net;     /* a directory for each network interface */
};
extern const struct xf_host_paths xf_host_paths;

/* Look for each, and add a finding for each that is missing. Opens nothing. */
void xf_check_needs(libxl_ctx *ctx, const struct xf_host_paths *paths, const struct xf_need *list,
                    unsigned n, struct xf_findings *f);

#endif
