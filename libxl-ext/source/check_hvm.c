/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHECK at the source, for a guest with a device model: see check_hvm.h. */
#include "libxl-ext/source/check_hvm.h"

#include <cpuid.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include <xen/hvm/hvm_info_table.h>
#include <xen/hvm/params.h>
#include <xen/hvm/save.h>

#include "libxl-ext/xen/pv_drivers.h"

#define MONITOR_MS 10000
#define CR0_PG (1ull << 31)
#define CR4_PAE (1ull << 5)
#define EFER_LMA (1ull << 10)
#define ASLEEP 3 /* HVM_PARAM_ACPI_S_STATE of a guest in S3 */

static bool is_true(libxl_defbool b)
{
    return !libxl_defbool_is_default(b) && libxl_defbool_val(b);
}

/* Which QEMU, and where it runs. */
static void check_model(const libxl_domain_build_info *b, struct xf_findings *f)
{
    if (b->device_model_version == LIBXL_DEVICE_MODEL_VERSION_QEMU_XEN_TRADITIONAL)
        xf_refuse_ours(
            f, XF_STOCK, "device-model",
            "the guest's device model is qemu-xen-traditional, which this tool does not know; "
            "use `xl migrate --cold` or --stock, or start the guest with "
            "device_model_version=\"qemu-xen\"");
    if (is_true(b->device_model_stubdomain))
        xf_refuse_ours(
            f, XF_STOCK, "stubdomain",
            "the guest's device model runs in a domain of its own "
            "(device_model_stubdomain_override=1), where this tool does not reach it; use `xl "
            "migrate --cold` or --stock");
}

/* Does QEMU emulate it (libxl__build_device_model_args_new(), tools/libs/light/libxl_dm.c)? xvda to
 * xvdd are hda to hdd as well, with AHCI also xvde and xvdf. */
static bool is_emulated(const libxl_device_disk *d, const libxl_domain_build_info *b)
{
    const char *name = d->vdev ? d->vdev : "";
    char first = b->u.hvm.hdtype == LIBXL_HDTYPE_AHCI ? 'g' : 'e';

    return strncmp(name, "xvd", 3) != 0 || name[3] < first;
}

/* QEMU opens an image for reading, and again for writing when the guest begins to run, which it may
 * not without privileges; stock's move ends with the same (docs/xen-notes.md). */
static void check_restricted(const libxl_domain_config *config, struct xf_findings *f)
{
    const libxl_domain_build_info *b = &config->b_info;

    for (int i = 0; i < config->num_disks && is_true(b->dm_restrict); i++) {
        const libxl_device_disk *d = &config->disks[i];

        if (d->readwrite && !d->is_cdrom && is_emulated(d, b))
            xf_find(
                f, XF_REFUSAL, "dm-restrict",
                "the guest's device model runs without privileges (dm_restrict=1), and could not "
                "open the disk %.16s, which it emulates, at the destination; no tool moves it: "
                "start the guest with dm_restrict=0, or with disks that are not emulated "
                "(vdev=xvdg and later)",
                d->vdev ? d->vdev : "");
    }
}

/* State that no tool moves, because Xen has no record of it. */
static void check_state(xc_interface *xch, uint32_t domid, const libxl_domain_build_info *b,
                        struct xf_findings *f)
{
    uint64_t sleep = 0;

    if (b->altp2m != LIBXL_ALTP2M_MODE_DISABLED || is_true(b->u.hvm.altp2m))
        xf_find(f, XF_REFUSAL, "altp2m",
                "the guest has alternate page tables (altp2m=), which Xen cannot move; shut it "
                "down and start it without them");
    if (b->num_vnuma_nodes)
        xf_find(f, XF_REFUSAL, "vnuma",
                "the guest has virtual NUMA nodes (vnuma=), which no tool moves; shut it down and "
                "start it at the destination");
    if (!xc_hvm_param_get(xch, domid, HVM_PARAM_ACPI_S_STATE, &sleep) && sleep == ASLEEP)
        xf_find(f, XF_REFUSAL, "asleep",
                "the guest sleeps (ACPI S3), and would never wake up at the destination; wake it "
                "by `xl trigger %u s3resume`",
                domid);
}

static void check_usb(const char *device, struct xf_findings *f)
{
    if (device && !strncasecmp(device, "host:", 5))
        xf_find(f, XF_REFUSAL, "passthrough",
                "a USB device of this host is passed through to the guest (usbdevice=\"%.60s\"); "
                "start the guest without it",
                device);
}

static void check_passed_through(const libxl_domain_build_info *b, struct xf_findings *f)
{
    check_usb(b->u.hvm.usbdevice, f);
    for (char **d = b->u.hvm.usbdevice_list; d && *d; d++)
        check_usb(*d, f);
    if (is_true(b->u.hvm.gfx_passthru))
        xf_find(f, XF_REFUSAL, "passthrough",
                "this host's graphics card is passed through to the guest (gfx_passthru=1); start "
                "the guest without it");
}

bool xf_check_restricted(const libxl_domain_config *config)
{
    return is_true(config->b_info.dm_restrict);
}

bool xf_check_late(const libxl_domain_config *config, const struct xf_model *model,
                   struct xf_findings *f)
{
    const char *why = xf_check_restricted(config)
                          ? "the guest's device model runs without privileges (dm_restrict=1)"
                      : model->video_unmapped
                          ? "the guest has unmapped the memory of its video card"
                          : NULL;

    if (!why)
        return false;
    xf_find(f, XF_INFO, "late-devices",
            "%s, so its device model is started at the destination only when the guest is "
            "suspended here, which takes seconds",
            why);
    return true;
}

static void ask_model(uint32_t domid, struct xf_findings *f, struct xf_model *model)
{
    struct xf_qmp q = XF_QMP_CLOSED;
    char reasons[XF_QMP_REASONS] = "";
    struct xf_err why = {0};

    if (xf_qmp_open_domain(&q, domid, MONITOR_MS, &why) ||
        xf_qmp_version(&q, &model->version, &why) || xf_qmp_blocked(&q, reasons, &why) ||
        xf_qmp_video_unmapped(&q, &model->video_unmapped, &why))
        xf_refuse_ours(f, XF_STOCK, "device-model", "the guest's device model does not answer: %s",
                       why.text);
    if (reasons[0])
        xf_find(f, XF_REFUSAL, "devices",
                "the guest has a device that QEMU cannot move: %s; start the guest without it",
                reasons);
    xf_qmp_close(&q);
}

void xf_check_hvm(xc_interface *xch, uint32_t domid, const libxl_domain_config *config,
                  struct xf_findings *f, struct xf_model *model)
{
    unsigned before = f->n;

    *model = (struct xf_model){0};
    check_model(&config->b_info, f);
    check_restricted(config, f);
    check_state(xch, domid, &config->b_info, f);
    check_passed_through(&config->b_info, f);
    if (f->n == before) /* else there may be no monitor */
        ask_model(domid, f, model);
}

static bool is_intel(void)
{
    unsigned eax, ebx, ecx, edx;

    return __get_cpuid(0, &eax, &ebx, &ecx, &edx) && ebx == signature_INTEL_ebx &&
           ecx == signature_INTEL_ecx && edx == signature_INTEL_edx;
}

static bool has_pae(xc_interface *xch, uint32_t domid)
{
    HVM_SAVE_TYPE(CPU) cpu;

    for (uint16_t vcpu = 0; vcpu < HVM_MAX_VCPUS; vcpu++) {
        if (xc_domain_hvm_getcontext_partial(xch, domid, HVM_SAVE_CODE(CPU), vcpu, &cpu,
                                             sizeof(cpu)))
            break;
        if ((cpu.cr0 & CR0_PG) && (cpu.cr4 & CR4_PAE) && !(cpu.msr_efer & EFER_LMA))
            return true;
    }
    return false;
}

static int has_viridian(xc_interface *xch, uint32_t domid, bool *has, struct xf_err *err)
{
    uint64_t viridian = 0;

    if (xc_hvm_param_get(xch, domid, HVM_PARAM_VIRIDIAN, &viridian))
        return xf_fail(err, errno, "cannot ask Xen whether domain %u has viridian=: %s", domid,
                       strerror(errno));
    *has = viridian != 0;
    return 0;
}

int xf_check_whole(xc_interface *xch, uint32_t domid, bool device_model, bool asked,
                   const char **why, struct xf_err *err)
{
    bool viridian = false, drivers = true;

    *why = NULL;
    if (has_viridian(xch, domid, &viridian, err) ||
        (device_model && !asked && xf_has_pv_drivers(xch, domid, &drivers, err)))
        return -1;
    if (viridian)
        *why = "a hypercall of its Hyper-V interface (viridian=1) fails on an absent page";
    else if (is_intel() && has_pae(xch, domid))
        *why = "it uses 32-bit PAE page tables, whose root an Intel processor reads when it is "
               "absent";
    else if (!drivers)
        *why = "all its I/O goes through its device model, which would wait for absent pages";
    return 0;
}
