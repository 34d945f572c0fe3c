/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CHECK: what stands against a move, found before anything is touched. check_source.c
 * in source/ looks at the domain, check_peer.c in sink/ at the host that it shall come to.
 */
#ifndef XF_CHECK_H
#define XF_CHECK_H

#include <libxl.h>
#include <xenctrl.h>

#include "libxl-ext/peer/bootstrap.h"
#include "libxl-ext/libxl_ext.h"
#include "libxl-ext/xen/toollog.h"

struct xf_findings {
    unsigned n, dropped;
    struct xf_finding list[XF_FINDINGS_MAX];
};

/* Add one. When no more fit, the last one becomes "more", which says how many there were beside
 * the others and is as severe as the worst of them. */
void xf_find(struct xf_findings *f, enum xf_severity severity, const char *code, const char *fmt,
             ...) __attribute__((format(printf, 4, 5)));
/* The same with one that was found elsewhere. */
void xf_find_too(struct xf_findings *f, const struct xf_finding *x);
/* The first refusal, or NULL. */
const struct xf_finding *xf_first_refusal(const struct xf_findings *f);

/*
 * Look at the domain. `config` is its current configuration. need_kib: what it will take at
 * the destination, overhead included. -1 only when the looking itself failed.
 */
int xf_check_source(libxl_ctx *ctx, xc_interface *xch, struct xf_toollog *log, uint32_t domid,
                    const libxl_domain_config *config, struct xf_findings *f, uint64_t *need_kib,
                    struct xf_err *err);

/* Look at this host with what the source said of the domain. */
int xf_check_peer(libxl_ctx *ctx, xc_interface *xch, struct xf_toollog *log,
                  const struct xf_hello *hello, bool same_host, struct xf_findings *f,
                  struct xf_err *err);

/*
 * Is the guest on this host that a move brought here? q (with find_only) has its name, its uuid,
 * and the number that its copy had in this boot of this host; all three together are the guest. A
 * finding for each domain with that name (or NAME--incoming) or that uuid, by its code:
 *   found     it is the guest, and all its pages are there
 *   lacking   it is the guest, and pages are absent
 *   incoming  it is the move's copy, and nobody has let it run: it may be being cleaned up
 *   dying     it is being destroyed, whatever it was
 *   other     not the move's copy: a clone, or the guest booted anew
 * or one, `nowhere`. same_host: the domain that has moved away lies here, suspended, and does not
 * count.
 */
int xf_check_find(libxl_ctx *ctx, const struct xf_hello *q, bool same_host, struct xf_findings *f,
                  struct xf_err *err);

/*
 * Is every CPU feature of the guest's policy in the host's largest? Both are arrays of
 * xen_cpuid_leaf_t. Returns 1 when one is missing, with its leaf and the missing bits in
 * `what`. Pure.
 */
int xf_policy_missing(const void *guest, uint32_t guest_len, const void *host, uint32_t host_len,
                      char *what, size_t what_len);

/* Do the two policies (as above) name different makers of processors? Then both names are filled
 * in, printable. Pure. */
#define XF_VENDOR 13
bool xf_policy_vendors_differ(const void *guest, uint32_t guest_len, const void *host,
                              uint32_t host_len, char guest_vendor[XF_VENDOR],
                              char host_vendor[XF_VENDOR]);

/* Does Xen here have memory paging (CONFIG_MEM_PAGING)? */
bool xf_has_paging(xc_interface *xch);

#endif
