/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHECK at the source: properties of the domain that prevent a move. See check.h. */
#include "libxl-ext/peer/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <xen/hvm/params.h>

#include "libxl-ext/xen/domain_here.h"
#include "libxl-ext/xen/guest_kind.h"
#include "libxl-ext/xen/guest_size.h"
#include "libxl-ext/xen/save_helper.h"

/* Memory that Xen takes for a vCPU of a guest with hardware assistance, which libxl does not count:
 * 264 to 294 pages were found. */
#define VCPU_PAGES 294u

bool xf_logs_pv(xc_interface *xch)
{
    xc_physinfo_t host = {0};

    return !xc_physinfo(xch, &host) && host.capabilities & XEN_SYSCTL_PHYSCAP_shadow;
}

static void check_kind(xc_interface *xch, uint32_t domid, const libxl_domain_config *config,
                       struct xf_findings *f)
{
    bool pv = config->c_info.type == LIBXL_DOMAIN_TYPE_PV;
    uint64_t nested = 0;

    if (!xf_guest_kind(config->c_info.type) && pv)
        xf_refuse_ours(f, xf_logs_pv(xch) ? XF_STOCK : XF_COLD, "pv-guest",
                       "a PV guest cannot be copied ahead; `xl migrate --cold` moves it%s, or run "
                       "the guest as type=\"pvh\"",
                       xf_logs_pv(xch) ? "" : " while it stands still");
    if (!pv && !xc_hvm_param_get(xch, domid, HVM_PARAM_NESTEDHVM, &nested) && nested)
        xf_find(f, XF_REFUSAL, "nested-hvm",
                "the guest may run guests of its own (nestedhvm=1), whose state Xen cannot "
                "move; shut it down and start it without nestedhvm");
}

/* A frontend that cannot reconnect after a suspend, or whose backend keeps state that is not
 * moved. */
static void check_kinds(const libxl_domain_config *config, struct xf_findings *f)
{
    const struct {
        int n;
        const char *what;
    } kinds[] = {
        {config->num_p9s, "a 9pfs file system (p9=)"},
        {config->num_pvcallsifs, "PV calls (pvcalls=)"},
        {config->num_vtpms, "a virtual TPM (vtpm=)"},
        {config->num_vdispls, "a PV display (vdispl=)"},
        {config->num_vsnds, "a PV sound card (vsnd=)"},
    };

    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].n)
            xf_find(f, XF_REFUSAL, "device-kind",
                    "the guest has %s, which does not survive a move, whichever tool makes it; "
                    "detach it, or shut the guest down and start it at the destination",
                    kinds[i].what);
    for (int i = 0; i < config->num_disks; i++)
        if (config->disks[i].specification == LIBXL_DISK_SPECIFICATION_VIRTIO)
            xf_find(f, XF_REFUSAL, "device-kind",
                    "disk %s is a virtio device, whose backend has a state that is not moved; use "
                    "a Xen disk (specification=xen)",
                    config->disks[i].vdev ? config->disks[i].vdev : "?");
}

static void check_devices(const libxl_domain_config *config, struct xf_findings *f)
{
    check_kinds(config, f);
    if (config->num_dtdevs || config->num_usbdevs) /* PCI: move_pci.c */
        xf_find(f, XF_REFUSAL, "passthrough",
                "a physical device is passed through to the guest; detach it first "
                "(`xl usbdev-detach`)");
    for (int i = 0; i < config->num_disks; i++) {
        const libxl_device_disk *d = &config->disks[i];

        /* The destination's disks are attached while the guest still writes here. A block device or
         * raw file is opened without keeping anything of it; formats with their own tables would be
         * read early and be stale at the switch. (A device model that waits for its state reads
         * them again when it has it.) */
        if (config->c_info.type != LIBXL_DOMAIN_TYPE_HVM && d->format != LIBXL_DISK_FORMAT_RAW &&
            d->format != LIBXL_DISK_FORMAT_EMPTY)
            xf_refuse_ours(f, XF_STOCK, "disk-format",
                           "disk %s is in a format (%s) whose tables the destination would read "
                           "too early; use `xl migrate --cold` or --stock, or a raw image or block "
                           "device",
                           d->vdev ? d->vdev : "?", libxl_disk_format_to_string(d->format));
    }
}

/* A move's memory per gfn, and each scan of all gfns, extends to the guest's highest gfn. */
static void check_size(xc_interface *xch, uint32_t domid, const libxl_domain_config *config,
                       struct xf_findings *f)
{
    const libxl_domain_build_info *b = &config->b_info;
    uint64_t max = b->max_memkb == LIBXL_MEMKB_DEFAULT ? 0 : b->max_memkb;
    uint64_t target = b->target_memkb == LIBXL_MEMKB_DEFAULT ? 0 : b->target_memkb;
    uint64_t video = b->video_memkb == LIBXL_MEMKB_DEFAULT ? 0 : b->video_memkb;
    uint64_t limit = xf_gfn_limit((max > target ? max : target) + video);
    xen_pfn_t nr = 0;

    if (xc_domain_nr_gpfns(xch, domid, &nr) < 0 || nr <= limit)
        return; /* xf_xen_source_open() will report this failure */
    xf_refuse_ours(
        f, XF_STOCK, "address-space",
        "the guest has mapped something at gfn 0x%llx, far above its memory (of %llu MiB at "
        "most, which may reach to 0x%llx); shut it down and start it again, and if that does "
        "not help, remove the driver in it that does so",
        (unsigned long long)nr - 1, (unsigned long long)((max > target ? max : target) >> 10),
        (unsigned long long)limit - 1);
}

/*
 * maxmem above memory: gfns that the guest has not touched are populated on demand, from a reserve
 * that already counts as its memory. Querying a page's type populates it
 * (XEN_DOMCTL_getpageframeinfo3 looks it up with P2M_ALLOC), and that is how such pages move, here
 * and with stock xl. If there are more of them than the reserve holds, because the guest's balloon
 * driver has not yet given back the excess over its memory, Xen crashes the domain at the first
 * page too many (p2m_pod_demand_populate()). Once the driver has done so, the reserve stays large
 * enough.
 */
static void check_pod(xc_interface *xch, uint32_t domid, const libxl_domain_config *config,
                      struct xf_findings *f)
{
    uint64_t tot = 0, reserve = 0, entries = 0, mib, max = config->b_info.max_memkb >> 10;

    if (xc_domain_get_pod_target(xch, domid, &tot, &reserve, &entries) || entries <= reserve)
        return;
    mib = (tot - reserve + entries + 255) >> 8;
    if (max && mib > max)
        mib = max;
    xf_find(f, XF_REFUSAL, "pod",
            "%llu pages of memory are populated on demand, and Xen keeps %llu for them: wait until "
            "the guest's balloon driver has given back what is above its memory, or add the rest "
            "by `xl mem-set %s %llu`",
            (unsigned long long)entries, (unsigned long long)reserve,
            config->c_info.name ? config->c_info.name : "GUEST", (unsigned long long)mib);
}

int xf_check_source(libxl_ctx *ctx, xc_interface *xch, struct xf_toollog *log, uint32_t domid,
                    const libxl_domain_config *config, struct xf_findings *f, uint64_t *need_kib,
                    struct xf_err *err)
{
    xc_domaininfo_t info;
    char why[300];
    libxl_domain_config copy;

    *need_kib = 0;
    if (xf_domain_info(xch, domid, &info))
        return xf_fail(err, ESRCH, "domain %u is gone", domid);
    if (info.flags & (XEN_DOMINF_shutdown | XEN_DOMINF_dying))
        xf_find(f, XF_REFUSAL, "not-running",
                "the domain does not run (shut down, suspended or dying); `xl list` shows its "
                "state");
    else if (info.flags & XEN_DOMINF_paused)
        xf_find(f, XF_INFO, "paused",
                "the domain is paused, and will be paused at the destination; if it has to answer "
                "the suspend request, it runs for that moment");
    if (info.paged_pages)
        xf_find(f, XF_REFUSAL, "paged-out",
                "%llu pages of the domain are paged out, and a move would lose them; wait until "
                "its own migration or its pager has finished",
                (unsigned long long)info.paged_pages);
    check_kind(xch, domid, config, f);
    check_devices(config, f);
    check_size(xch, domid, config, f);
    if (info.flags & XEN_DOMINF_hvm_guest)
        check_pod(xch, domid, config, f);
    if (xf_save_helper_runs("/proc", domid))
        xf_find(f, XF_REFUSAL, "busy",
                "another migration or save of the domain is under way; wait for that to end");

    if (xf_nothing_can(f))
        return 0; /* it will not be built anywhere, so its size does not matter */
    /* libxl_domain_need_memory() fills in defaults, so it gets a copy to write to. */
    libxl_domain_config_init(&copy);
    libxl_domain_config_copy(ctx, &copy, config);
    if (libxl_domain_need_memory(ctx, &copy, domid, need_kib)) {
        libxl_domain_config_dispose(&copy);
        return xf_fail(err, EIO, "cannot compute the memory that domain %u needs: %s", domid,
                       xf_toollog_last(log, why, sizeof(why)));
    }
    libxl_domain_config_dispose(&copy);
    if (config->c_info.type != LIBXL_DOMAIN_TYPE_PV)
        *need_kib += (uint64_t)config->b_info.max_vcpus * VCPU_PAGES * (XF_PAGE_SIZE / 1024);
    return 0;
}
