/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHECK at the destination: can this host take the domain? See check.h. */
#include "libxl-ext/peer/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxl_utils.h>
#include <libxlutil.h>
#include <xenguest.h>

#include "libxl-ext/peer/needs.h"
#include "libxl-ext/sink/check_pci.h"

#define XL_CONF "/etc/xen/xl.conf"

bool xf_has_paging(xc_interface *xch)
{
    /* Side-effect free: the domain does not exist, so ESRCH means that the operation is
     * compiled in and ENOSYS that it is not (xen/arch/x86/x86_64/mm.c, subarch_memory_op). */
    return xc_mem_paging_prep(xch, DOMID_INVALID, 0) < 0 && errno == ESRCH;
}

static const xen_cpuid_leaf_t *find_leaf(const xen_cpuid_leaf_t *list, uint32_t n, uint32_t leaf,
                                         uint32_t subleaf)
{
    for (uint32_t i = 0; i < n; i++)
        if (list[i].leaf == leaf && list[i].subleaf == subleaf)
            return &list[i];
    return NULL;
}

/* Leaves whose registers are feature bits: a bit set for the guest and not for the host is an
 * instruction that would fault after the move. `ignore`: bits that are not capabilities. */
static const struct feature_leaf {
    uint32_t leaf, subleaf;
    uint8_t regs; /* 1 a, 2 b, 4 c, 8 d */
    uint32_t ignore_c, ignore_d;
} feature_leaves[] = {
    /* OSXSAVE follows CR4; HTT describes the topology. */
    {0x00000001, XEN_CPUID_NO_SUBLEAF, 4 | 8, 1u << 27, 1u << 28},
    {0x00000007, 0, 2 | 4 | 8, 1u << 4 /* OSPKE */, 0},
    {0x00000007, 1, 1, 0, 0},
    {0x0000000d, 1, 1, 0, 0},
    /* CMP_LEGACY is topology. AMD repeats part of leaf 1's EDX here; Xen fills that in for a
     * domain and leaves it empty in a system policy. */
    {0x80000001, XEN_CPUID_NO_SUBLEAF, 4 | 8, 1u << 1, 0x0183f3ff},
    {0x80000007, XEN_CPUID_NO_SUBLEAF, 8, 0, 0},
    {0x80000008, XEN_CPUID_NO_SUBLEAF, 2, 0, 0},
};

int xf_policy_missing(const void *guest, uint32_t guest_len, const void *host, uint32_t host_len,
                      char *what, size_t what_len)
{
    const xen_cpuid_leaf_t *g = guest, *h = host;
    uint32_t ng = guest_len / sizeof(*g), nh = host_len / sizeof(*h);

    for (size_t i = 0; i < sizeof(feature_leaves) / sizeof(feature_leaves[0]); i++) {
        const struct feature_leaf *l = &feature_leaves[i];
        const xen_cpuid_leaf_t *gl = find_leaf(g, ng, l->leaf, l->subleaf);
        const xen_cpuid_leaf_t *hl = find_leaf(h, nh, l->leaf, l->subleaf);
        const xen_cpuid_leaf_t none = {0};
        uint32_t a, b, c, d;

        if (!gl)
            continue;
        if (!hl)
            hl = &none;
        a = l->regs & 1 ? gl->a & ~hl->a : 0;
        b = l->regs & 2 ? gl->b & ~hl->b : 0;
        c = l->regs & 4 ? gl->c & ~hl->c & ~l->ignore_c : 0;
        d = l->regs & 8 ? gl->d & ~hl->d & ~l->ignore_d : 0;
        if (!(a | b | c | d))
            continue;
        snprintf(what, what_len, "leaf %08x.%x eax %08x ebx %08x ecx %08x edx %08x", l->leaf,
                 l->subleaf == XEN_CPUID_NO_SUBLEAF ? 0 : l->subleaf, a, b, c, d);
        return 1;
    }
    return 0;
}

/* The largest policy an HVM guest may have here, as leaves. *leaves is malloc()ed. */
static int host_policy(xc_interface *xch, xc_cpu_policy_t *policy, xen_cpuid_leaf_t **leaves,
                       uint32_t *len, struct xf_err *err)
{
    uint32_t nr_leaves = 0, nr_msrs = 0;
    xen_msr_entry_t *msrs;
    int rc = -1;

    *leaves = NULL;
    if (xc_cpu_policy_get_size(xch, &nr_leaves, &nr_msrs) < 0)
        return xf_fail(err, errno, "cannot size the CPU policy: %s", strerror(errno));
    *leaves = calloc(nr_leaves + 1, sizeof(**leaves));
    msrs = calloc(nr_msrs + 1, sizeof(*msrs));
    if (!*leaves || !msrs)
        xf_fail(err, ENOMEM, "out of memory");
    else if (xc_cpu_policy_get_system(xch, XEN_SYSCTL_cpu_policy_hvm_max, policy) ||
             xc_cpu_policy_serialise(xch, policy, *leaves, &nr_leaves, msrs, &nr_msrs))
        xf_fail(err, errno, "cannot read the CPU policy of this host: %s", strerror(errno));
    else
        rc = 0;
    free(msrs);
    if (rc) {
        free(*leaves);
        *leaves = NULL;
    }
    *len = nr_leaves * (uint32_t)sizeof(**leaves);
    return rc;
}

static int check_cpu(xc_interface *xch, const struct xf_hello *hello, struct xf_findings *f,
                     struct xf_err *err)
{
    xc_cpu_policy_t *host = xc_cpu_policy_init(), *guest = xc_cpu_policy_init();
    xen_cpuid_leaf_t *leaves = NULL;
    uint32_t len = 0;
    char what[128], made[XF_VENDOR], here[XF_VENDOR];
    int rc = -1;

    if (!host || !guest) {
        xf_fail(err, ENOMEM, "out of memory");
        goto out;
    }
    if (host_policy(xch, host, &leaves, &len, err))
        goto out;
    rc = 0;
    if (hello->cpuid_len % sizeof(xen_cpuid_leaf_t) || hello->msr_len % sizeof(xen_msr_entry_t)) {
        rc = xf_fail(err, EPROTO, "the source sent a CPU policy of an invalid length");
        goto out;
    }
    if (xf_policy_vendors_differ(hello->cpuid, hello->cpuid_len, leaves, len, made, here)) {
        xf_find(f, XF_REFUSAL, "cpu-vendor",
                "the guest was booted on a processor of %s and this host has one of %s: a running "
                "guest cannot change between them; shut it down and start it there",
                made, here);
        goto out;
    }
    if (xf_policy_missing(hello->cpuid, hello->cpuid_len, leaves, len, what, sizeof(what))) {
        xf_find(f, XF_REFUSAL, "cpu-policy",
                "the guest uses CPU features that this host lacks (%s); restart it with a "
                "cpuid= that both hosts can give",
                what);
        goto out;
    }
    if (xc_cpu_policy_update_cpuid(xch, guest, hello->cpuid,
                                   hello->cpuid_len / (uint32_t)sizeof(xen_cpuid_leaf_t)) ||
        xc_cpu_policy_update_msrs(xch, guest, hello->msrs,
                                  hello->msr_len / (uint32_t)sizeof(xen_msr_entry_t)) ||
        !xc_cpu_policy_is_compatible(xch, host, guest))
        xf_find(f, XF_REFUSAL, "cpu-policy",
                "Xen on this host rejects the guest's CPU policy; restart the guest with a "
                "cpuid= that both hosts can give");
out:
    free(leaves);
    if (host)
        xc_cpu_policy_destroy(host);
    if (guest)
        xc_cpu_policy_destroy(guest);
    return rc;
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
    if (check_uuid(ctx, hello, same_host, f, err) || check_cpu(xch, hello, f, err))
        return -1;
    return check_memory(ctx, log, hello, f, err);
}
