/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHECK at the destination: can this host take the domain? See check.h. */
#include "libxl-ext/peer/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxl_utils.h>
#include <libxlutil.h>

#include "libxl-ext/peer/needs.h"
#include "libxl-ext/sink/check_pci.h"

#define XL_CONF "/etc/xen/xl.conf"

bool xf_has_paging(xc_interface *xch)
{
    /* Side-effect free: the domain does not exist, so ESRCH means that the operation is
     * compiled in and ENOSYS that it is not (xen/arch/x86/x86_64/mm.c, subarch_memory_op). */
    return xc_mem_paging_prep(xch, DOMID_INVALID, 0) < 0 && errno == ESRCH;
}

static void check_name(libxl_ctx *ctx, const struct xf_hello *hello, bool same_host,
                       struct xf_findings *f)
{
    char incoming[sizeof(hello->domain) + 16];
    uint32_t domid;

    snprintf(incoming, sizeof(incoming), "%s--incoming", hello->domain);
    if (!same_host && !libxl_name_to_domid(ctx, hello->domain, &domid))
        xf_find(f, XF_REFUSAL, "name",
                "a domain named \"%s\" exists there already (domain %u); destroy or rename it",
                hello->domain, domid);
    if (!libxl_name_to_domid(ctx, incoming, &domid))
        xf_find(f, XF_REFUSAL, "name",
                "a domain named \"%s\" exists there already (domain %u): a move of the same domain "
                "is under way, or one has left it behind; destroy it in that case",
                incoming, domid);
}

/* A second domain with this uuid would be confused with the first, and share its part of xenstore
 * (/vm). Within one host the moving domain itself is allowed, as is a dying domain, which no longer
 * runs. */
static int check_uuid(libxl_ctx *ctx, const struct xf_hello *hello, bool same_host,
                      struct xf_findings *f, struct xf_err *err)
{
    uint32_t own = 0; /* within one host: the domain that moves */
    libxl_dominfo *list;
    libxl_uuid wanted;
    int n = 0;

    if (libxl_uuid_from_string(&wanted, hello->uuid))
        return xf_fail(err, EPROTO, "the source sent an invalid uuid");
    list = libxl_list_domain(ctx, &n);
    if (!list)
        return xf_fail(err, EIO, "cannot list the domains here");
    if (same_host && libxl_name_to_domid(ctx, hello->domain, &own))
        own = 0;
    for (int i = 0; i < n; i++) {
        char *name;

        if (list[i].dying || libxl_uuid_compare(&list[i].uuid, &wanted))
            continue;
        if (same_host && !own) /* it will get another name (-C) */
            own = list[i].domid;
        if (list[i].domid == own)
            continue;
        name = libxl_domid_to_name(ctx, list[i].domid);
        xf_find(f, XF_REFUSAL, "uuid",
                "domain %u (\"%.127s\") there has the same uuid (%s): it is the same guest, or one "
                "of the two is a copy and needs a uuid= of its own; destroy the one that is not "
                "needed",
                list[i].domid, name ? name : "", hello->uuid);
        free(name);
    }
    libxl_dominfo_list_free(list, n);
    return 0;
}

/* Does xl free memory for a new domain automatically? Then the amount free now says little. "auto"
 * means: unless dom0_mem= is on Xen's command line (tools/xl/xl.c). */
static bool autoballoons(libxl_ctx *ctx)
{
    const libxl_version_info *info = libxl_get_version_info(ctx);
    XLU_Config *conf = xlu_cfg_init(stderr, XL_CONF);
    const char *value = "auto";
    bool on;

    if (!conf)
        return true;
    if (xlu_cfg_readfile(conf, XL_CONF) || xlu_cfg_get_string(conf, "autoballoon", &value, 1))
        value = "auto";
    if (!strcmp(value, "on") || !strcmp(value, "1"))
        on = true;
    else if (!strcmp(value, "off") || !strcmp(value, "0"))
        on = false;
    else
        on = !info || !info->commandline || !strstr(info->commandline, "dom0_mem=");
    xlu_cfg_destroy(conf);
    return on;
}

static int check_memory(libxl_ctx *ctx, struct xf_toollog *log, const struct xf_hello *hello,
                        struct xf_findings *f, struct xf_err *err)
{
    uint64_t free_kib = 0;
    char why[300];

    if (libxl_get_free_memory(ctx, &free_kib))
        return xf_fail(err, EIO, "cannot read this host's free memory: %s",
                       xf_toollog_last(log, why, sizeof(why)));
    if (free_kib >= hello->need_kib)
        return 0;
    xf_find(f, autoballoons(ctx) ? XF_WARNING : XF_REFUSAL, "memory",
            "the domain needs %llu MiB and %llu MiB are free there; free memory (shut down or "
            "balloon down other domains, dom0 included)",
            (unsigned long long)(hello->need_kib >> 10), (unsigned long long)(free_kib >> 10));
    return 0;
}

int xf_check_peer(libxl_ctx *ctx, xc_interface *xch, struct xf_toollog *log,
                  const struct xf_hello *hello, bool same_host, struct xf_findings *f,
                  struct xf_err *err)
{
    const libxl_version_info *info = libxl_get_version_info(ctx);

    if (!info)
        return xf_fail(err, EIO, "cannot read Xen's version on this host");
    if ((uint32_t)info->xen_version_major < hello->xen_major ||
        ((uint32_t)info->xen_version_major == hello->xen_major &&
         (uint32_t)info->xen_version_minor < hello->xen_minor))
        xf_find(f, XF_REFUSAL, "xen-version",
                "Xen there (%d.%d) is older than here (%u.%u), and state only moves forward; "
                "upgrade the destination",
                info->xen_version_major, info->xen_version_minor, hello->xen_major,
                hello->xen_minor);
    check_name(ctx, hello, same_host, f);
    xf_check_needs(ctx, &xf_host_paths, hello->needs, hello->nr_needs, f);
    xf_check_pci(ctx, hello, same_host, f);
    if (check_uuid(ctx, hello, same_host, f, err) || xf_check_cpu(xch, hello, f, err))
        return -1;
    return check_memory(ctx, log, hello, f, err);
}
