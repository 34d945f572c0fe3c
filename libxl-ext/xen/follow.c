/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Applying changes made at the source: see follow.h. */
#include "libxl-ext/xen/follow.h"

#include <errno.h>
#include <string.h>

#include <libxl_utils.h>

int xf_follow_name(libxl_ctx *ctx, const char *name, bool same_host, struct xf_err *err)
{
    uint32_t domid;

    if (same_host || libxl_name_to_domid(ctx, name, &domid))
        return 0;
    return xf_fail(
        err, EEXIST,
        "the guest was renamed to \"%s\", and a domain of that name exists there already "
        "(domain %u); destroy or rename it",
        name, domid);
}

int xf_follow_online(libxl_ctx *ctx, struct xf_toollog *log, uint32_t domid,
                     const struct xf_follow *f, struct xf_err *err)
{
    uint8_t bits[sizeof(f->vcpus)];
    libxl_bitmap online = {.size = (f->nr_vcpus + 7) / 8, .map = bits};
    char why[300];

    memcpy(bits, f->vcpus, sizeof(bits));
    if (libxl_set_vcpuonline(ctx, domid, &online, NULL))
        return xf_fail(err, EIO, "cannot set which of the guest's vCPUs are online: %s",
                       xf_toollog_last(log, why, sizeof(why)));
    return 0;
}
