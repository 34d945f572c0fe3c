/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What has become of a domain of this host: see domain_here.h. */
#include "libxl-ext/xen/domain_here.h"

enum xf_dom xf_domain_here(libxl_ctx *ctx, uint32_t domid, const char *uuid)
{
    enum xf_dom here;
    libxl_dominfo info;
    libxl_uuid wanted;
    int rc;

    libxl_dominfo_init(&info);
    rc = libxl_domain_info(ctx, &info, domid);
    if (rc)
        here = rc == ERROR_DOMAIN_NOTFOUND ? XF_DOM_GONE : XF_DOM_UNKNOWN;
    else if (libxl_uuid_from_string(&wanted, uuid) || libxl_uuid_compare(&info.uuid, &wanted))
        here = XF_DOM_OTHER;
    else if (info.dying)
        here = XF_DOM_DYING;
    else if (info.shutdown && info.shutdown_reason == LIBXL_SHUTDOWN_REASON_SUSPEND)
        here = XF_DOM_SUSPENDED;
    else
        here = XF_DOM_RUNS;
    libxl_dominfo_dispose(&info);
    return here;
}
