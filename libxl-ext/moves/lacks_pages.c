/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a domain runs here without some of its pages. Xen counts paged-out pages, whether or not
 * the process that evicted them still lives; the move, if there is one, knows where they are.
 */
#include "libxl-ext/moves/status.h"

#include <string.h>

#include <libxl.h>
#include <libxl_utils.h>

#include "libxl-ext/xen/toollog.h"

/* XF_NO_COUNT: Xen cannot be asked. */
static uint64_t ask_xen(const char *domain)
{
    struct xf_toollog log;
    libxl_ctx *ctx = NULL;
    libxl_dominfo info;
    uint64_t n = XF_NO_COUNT;
    uint32_t domid;

    xf_toollog_init(&log);
    if (libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, &log.vtable))
        return n;
    libxl_dominfo_init(&info);
    if (!libxl_domain_qualifier_to_domid(ctx, domain, &domid) &&
        !libxl_domain_info(ctx, &info, domid))
        n = info.paged_memkb / 4;
    libxl_dominfo_dispose(&info);
    libxl_ctx_free(ctx);
    return n;
}

enum xf_lacks xf_lacks_pages(const char *domain, uint64_t *missing, char *host)
{
    struct xf_status_list all;
    uint64_t paged;
    enum xf_lacks lacks = XF_LACKS_NONE;

    *missing = XF_NO_COUNT;
    host[0] = 0;
    if (!xf_statuses(&all, NULL)) {
        for (unsigned i = 0; i < all.nr; i++) {
            const struct xf_status *s = &all.list[i];

            if (s->source || s->phase != XF_PHASE_PULL || !s->missing ||
                !xf_status_is(s->domain, s->domid, domain))
                continue;
            lacks = XF_LACKS_COMING;
            *missing = s->missing;
            memcpy(host, s->host, sizeof(s->host));
        }
    }
    xf_statuses_free(&all);
    if (lacks)
        return lacks;
    paged = ask_xen(domain);
    if (paged == XF_NO_COUNT || !paged)
        return XF_LACKS_NONE;
    *missing = paged;
    return XF_LACKS_NOBODY;
}
