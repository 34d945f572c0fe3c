/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CHECK: obstacles to a move, found before anything is touched. check_source.c in source/ examines
 * the domain, check_peer.c in sink/ the destination host.
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

/* Add a finding. When no more fit, the last one becomes "more", which counts those that did not fit
 * and is as severe as the worst of them. */
void xf_find(struct xf_findings *f, enum xf_severity severity, const char *code, const char *fmt,
             ...) __attribute__((format(printf, 4, 5)));
/* The same with a finding from elsewhere. */
void xf_find_too(struct xf_findings *f, const struct xf_finding *x);
/* Add a refusal of a guest that could be moved otherwise. */
void xf_refuse_ours(struct xf_findings *f, enum xf_otherwise otherwise, const char *code,
                    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* A host's limit of moves: `who` takes part in `limit` at a time, and `busy` are under way.
 * `where`: the file that sets it. Of severity XF_INFO or XF_REFUSAL. */
#define XF_FOUND_LIMIT "limit"
void xf_find_limit(struct xf_findings *f, enum xf_severity severity, const char *who,
                   const char *where, unsigned busy, unsigned limit);
/* Remove the refusals that do not concern a cold move. */
void xf_findings_for_cold(struct xf_findings *f);
/* Is there a refusal of a guest that nothing can move? */
bool xf_nothing_can(const struct xf_findings *f);
/* Are there refusals, and none of them concerns stock xl? */
bool xf_stock_can(const struct xf_findings *f);
/* The first refusal, or NULL. */
const struct xf_finding *xf_first_refusal(const struct xf_findings *f);

/*
 * Examine the domain. `config` is its current configuration. need_kib: memory it will take at the
 * destination, overhead included. -1 only when the examination itself failed.
 */
int xf_check_source(libxl_ctx *ctx, xc_interface *xch, struct xf_toollog *log, uint32_t domid,
                    const libxl_domain_config *config, struct xf_findings *f, uint64_t *need_kib,
                    struct xf_err *err);

/* Can Xen here log the writes of a PV guest (shadow paging), so that it could be moved live? */
bool xf_logs_pv(xc_interface *xch);

/* Examine this host against what the source reports about the domain. */
int xf_check_peer(libxl_ctx *ctx, xc_interface *xch, struct xf_toollog *log,
                  const struct xf_hello *hello, bool same_host, struct xf_findings *f,
                  struct xf_err *err);

/*
 * Is the guest that a move brought here on this host? q (with find_only) has its name, its uuid,
 * and the number that its copy had in this boot of this host; only all three together identify the
 * guest. Adds a finding for each domain with that name (or NAME--incoming) or that uuid, by code:
 *   found     it is the guest, with all its pages
 *   lacking   it is the guest, and pages are absent
 *   incoming  it is the move's copy, which has not run: it may be about to be destroyed
 *   dying     it is being destroyed, whatever it was
 *   other     not the move's copy: a clone, or the guest rebooted
 * or a single one, `nowhere`. same_host: the domain that has moved away is also here, suspended,
 * and does not count.
 */
int xf_check_find(libxl_ctx *ctx, const struct xf_hello *q, bool same_host, struct xf_findings *f,
                  struct xf_err *err);

/* Is the guest's CPU policy, as the source sent it, one that this host can give? */
int xf_check_cpu(xc_interface *xch, const struct xf_hello *hello, struct xf_findings *f,
                 struct xf_err *err);

/* Add refusals of a guest that uses what this host does not offer: each feature and each leaf by
 * name, and the line that cures it. vendor: the guest's, "" if it is not known. */
void xf_find_cpu(const char *vendor, const struct xf_cpu_level *guest, const struct xf_cpu *host,
                 struct xf_findings *f);

/* At the source: warn of a destination whose Xenferry does not compare all of the guest's features.
 */
void xf_find_uncompared(const struct xf_hello *h, const struct xf_reply *r, struct xf_findings *f);

/* Does Xen here have memory paging (CONFIG_MEM_PAGING)? */
bool xf_has_paging(xc_interface *xch);

#endif
