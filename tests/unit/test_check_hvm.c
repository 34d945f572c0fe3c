/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHECK of a guest with a device model: Xen and QEMU are made up here. */
#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenctrl.h>
#include <xen/hvm/params.h>
#include <xen/hvm/save.h>

#include "libxl-ext/source/check_hvm.h"
#include "tests/unit/suite.h"

static libxl_domain_config config;
static struct xf_findings f;
static struct xf_model model;
static struct {
    uint64_t sleep, viridian, irq;
    bool pae; /* its second vCPU runs in 32-bit mode */
    bool silent;
    int opens, open_now;
    const char *reasons;
    bool video_unmapped;
    int fails; /* Xen does not tell this parameter; -1: it tells all */
} guest;

int xc_hvm_param_get(xc_interface *xch, uint32_t dom, uint32_t param, uint64_t *value)
{
    (void)xch;
    CU_ASSERT_EQUAL(dom, 9);
    if (param == (uint32_t)guest.fails) {
        errno = EPERM;
        return -1;
    }
    *value = param == HVM_PARAM_ACPI_S_STATE   ? guest.sleep
             : param == HVM_PARAM_VIRIDIAN     ? guest.viridian
             : param == HVM_PARAM_CALLBACK_IRQ ? guest.irq
                                               : 0;
    return 0;
}

int xc_domain_hvm_getcontext_partial(xc_interface *xch, uint32_t domid, uint16_t type,
                                     uint16_t vcpu, void *out, uint32_t size)
{
    HVM_SAVE_TYPE(CPU) *cpu = out;

    (void)xch;
    CU_ASSERT(domid == 9 && type == HVM_SAVE_CODE(CPU) && size == sizeof(*cpu));
    if (vcpu > 1)
        return -1;
    memset(cpu, 0, sizeof(*cpu));
    cpu->cr0 = 0x80000001;
    cpu->cr4 = 0x20;
    cpu->msr_efer = vcpu == 1 && guest.pae ? 0 : 0x500;
    return 0;
}

int xf_qmp_open(struct xf_qmp *q, const char *path, uint32_t domid, int limit_ms,
                struct xf_tick tick, struct xf_err *e)
{
    (void)tick;
    CU_ASSERT(strstr(path, "-9") && domid == 9 && limit_ms > 0);
    guest.opens++;
    if (guest.silent)
        return xf_fail(e, ECONNREFUSED, "nobody listens");
    guest.open_now++;
    q->fd = 100;
    return 0;
}

void xf_qmp_close(struct xf_qmp *q)
{
    guest.open_now -= q->fd >= 0;
    q->fd = -1;
}

int xf_qmp_version(struct xf_qmp *q, struct xf_qmp_version *out, struct xf_err *e)
{
    (void)q;
    (void)e;
    *out = (struct xf_qmp_version){7, 2, 22};
    return 0;
}

int xf_qmp_blocked(struct xf_qmp *q, char out[XF_QMP_REASONS], struct xf_err *e)
{
    (void)q;
    (void)e;
    snprintf(out, XF_QMP_REASONS, "%s", guest.reasons ? guest.reasons : "");
    return 0;
}

int xf_qmp_video_unmapped(struct xf_qmp *q, bool *out, struct xf_err *e)
{
    (void)q;
    (void)e;
    *out = guest.video_unmapped;
    return 0;
}

static void begin(void)
{
    libxl_domain_config_init(&config);
    memset(&guest, 0, sizeof(guest));
    guest.fails = -1;
    config.b_info.device_model_version = LIBXL_DEVICE_MODEL_VERSION_QEMU_XEN;
    libxl_domain_build_info_init_type(&config.b_info, LIBXL_DOMAIN_TYPE_HVM);
}

static void check(void)
{
    memset(&f, 0, sizeof(f));
    xf_check_hvm(NULL, 9, &config, &f, &model);
    CU_ASSERT_EQUAL(guest.open_now, 0);
    config.b_info.num_vnuma_nodes = 0; /* there are none to free */
    libxl_domain_config_dispose(&config);
}

/* One refusal, by this code; QEMU is not asked: it may be somewhere else. */
static void refuses(const char *code, bool asks)
{
    check();
    CU_ASSERT(f.n == 1 && f.list[0].severity == XF_REFUSAL);
    CU_ASSERT_STRING_EQUAL(f.list[0].code, code);
    CU_ASSERT_EQUAL(guest.opens, asks ? 1 : 0);
    begin();
}

static void test_moves(void)
{
    begin();
    libxl_defbool_set(&config.b_info.device_model_stubdomain, false);
    libxl_defbool_set(&config.b_info.dm_restrict, false);
    libxl_defbool_set(&config.b_info.u.hvm.viridian, true);
    config.b_info.u.hvm.usbdevice = strdup("tablet");
    check();
    CU_ASSERT(f.n == 0 && guest.opens == 1);
    CU_ASSERT(model.version.major == 7 && model.version.minor == 2 && model.version.micro == 22);
}

/* Its QEMU has no privileges, and this disk. */
static void restricted(const char *vdev, libxl_hdtype type, bool writes, bool cd)
{
    libxl_device_disk *d = calloc(1, sizeof(*d));

    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    libxl_device_disk_init(d);
    d->vdev = strdup(vdev);
    d->readwrite = writes;
    d->is_cdrom = cd;
    config.disks = d;
    config.num_disks = 1;
    config.b_info.u.hvm.hdtype = type;
    libxl_defbool_set(&config.b_info.dm_restrict, true);
}

static void test_restricted(void)
{
    static const struct {
        const char *vdev;
        libxl_hdtype type;
        bool writes, cd, moves;
    } disks[] = {
        {"xvda", LIBXL_HDTYPE_IDE, true, false, false},
        {"hdc", LIBXL_HDTYPE_IDE, true, false, false},
        {"sdz", LIBXL_HDTYPE_IDE, true, false, false},
        {"xvde", LIBXL_HDTYPE_AHCI, true, false, false},
        {"", LIBXL_HDTYPE_IDE, true, false, false},
        {"xvda", LIBXL_HDTYPE_IDE, false, false, true},
        {"hdc", LIBXL_HDTYPE_IDE, false, true, true},
        {"xvde", LIBXL_HDTYPE_IDE, true, false, true},
        {"xvdg", LIBXL_HDTYPE_AHCI, true, false, true},
    };

    for (size_t i = 0; i < sizeof(disks) / sizeof(disks[0]); i++) {
        begin();
        restricted(disks[i].vdev, disks[i].type, disks[i].writes, disks[i].cd);
        if (!disks[i].moves) {
            refuses("dm-restrict", false);
            libxl_domain_config_dispose(&config);
            continue;
        }
        check();
        CU_ASSERT_EQUAL(f.n, 0);
    }
    begin();
    restricted("xvda", LIBXL_HDTYPE_IDE, true, false);
    libxl_defbool_set(&config.b_info.dm_restrict, false);
    check();
    CU_ASSERT_EQUAL(f.n, 0);
}

static void test_late(void)
{
    begin();
    memset(&f, 0, sizeof(f));
    CU_ASSERT(!xf_check_late(&config, &model, &f) && !f.n);
    libxl_defbool_set(&config.b_info.dm_restrict, false);
    CU_ASSERT(!xf_check_late(&config, &model, &f) && !f.n);
    libxl_defbool_set(&config.b_info.dm_restrict, true);
    CU_ASSERT(xf_check_late(&config, &model, &f) && f.n == 1 && f.list[0].severity == XF_INFO);
    libxl_domain_config_dispose(&config);
    begin();
    guest.video_unmapped = true;
    check();
    CU_ASSERT_EQUAL(f.n, 0);
    libxl_domain_config_init(&config);
    CU_ASSERT(xf_check_late(&config, &model, &f) && f.n == 1 && f.list[0].severity == XF_INFO);
    CU_ASSERT_PTR_NOT_NULL(strstr(f.list[0].text, "video card"));
    libxl_domain_config_dispose(&config);
}

static void test_refused(void)
{
    begin();
    config.b_info.device_model_version = LIBXL_DEVICE_MODEL_VERSION_QEMU_XEN_TRADITIONAL;
    refuses("device-model", false);
    libxl_defbool_set(&config.b_info.device_model_stubdomain, true);
    refuses("stubdomain", false);
    config.b_info.altp2m = LIBXL_ALTP2M_MODE_MIXED;
    refuses("altp2m", false);
    libxl_defbool_set(&config.b_info.u.hvm.altp2m, true);
    refuses("altp2m", false);
    config.b_info.num_vnuma_nodes = 2;
    refuses("vnuma", false);
    guest.sleep = 3;
    refuses("asleep", false);
    config.b_info.u.hvm.usbdevice = strdup("host:1d6b:0002");
    refuses("passthrough", false);
    config.b_info.u.hvm.usbdevice_list = calloc(3, sizeof(char *));
    config.b_info.u.hvm.usbdevice_list[0] = strdup("tablet");
    config.b_info.u.hvm.usbdevice_list[1] = strdup("HOST:3");
    refuses("passthrough", false);
    libxl_defbool_set(&config.b_info.u.hvm.gfx_passthru, true);
    refuses("passthrough", false);
    guest.silent = true;
    refuses("device-model", true);
    guest.reasons = "device nvme0 cannot be migrated";
    refuses("devices", true);
    check();
}

/* Why no page may be absent, NULL: nothing. */
static const char *whole(bool device_model, bool asked)
{
    struct xf_err err = {0};
    const char *why = "";

    CU_ASSERT_EQUAL(xf_check_whole(NULL, 9, device_model, asked, &why, &err), 0);
    return why;
}

/* When no page may be absent. */
static void test_whole(void)
{
    unsigned eax, intel, ecx, edx;

    begin();
    guest.irq = 1;
    CU_ASSERT_PTR_NULL(whole(true, false));
    CU_ASSERT_PTR_NULL(whole(false, false));
    guest.irq = 0; /* without PV drivers only if it is asked for; a PVH guest has no others */
    CU_ASSERT_PTR_NOT_NULL(whole(true, false));
    CU_ASSERT_PTR_NULL(whole(true, true));
    CU_ASSERT_PTR_NULL(whole(false, false));
    guest.irq = guest.viridian = 1;
    CU_ASSERT_PTR_NOT_NULL(whole(true, true));
    guest.viridian = 0;
    guest.pae = true;
    __cpuid(0, eax, intel, ecx, edx);
    CU_ASSERT_EQUAL(whole(true, true) != NULL, intel == signature_INTEL_ebx);
    check();
}

/* What Xen does not tell is an error, and not guessed. */
static void test_silent_xen(void)
{
    struct xf_err err = {0};
    const char *why;

    begin();
    guest.fails = HVM_PARAM_CALLBACK_IRQ;
    CU_ASSERT_EQUAL(xf_check_whole(NULL, 9, true, false, &why, &err), -1);
    CU_ASSERT(err.num == EPERM && strstr(err.text, "PV drivers"));
    CU_ASSERT_PTR_NULL(whole(true, true)); /* needs no answer */
    CU_ASSERT_PTR_NULL(whole(false, false));
    xf_clear(&err);
    guest.fails = HVM_PARAM_VIRIDIAN;
    CU_ASSERT_EQUAL(xf_check_whole(NULL, 9, false, true, &why, &err), -1);
    CU_ASSERT(err.num == EPERM && strstr(err.text, "viridian"));
    check();
}

int main(void)
{
    CU_TestInfo tests[] = {{"a guest that moves", test_moves},
                           {"what is refused", test_refused},
                           {"a QEMU without privileges", test_restricted},
                           {"devices that must be late", test_late},
                           {"pages that must not be absent", test_whole},
                           {"Xen does not answer", test_silent_xen},
                           CU_TEST_INFO_NULL};

    return run_suite("CHECK with a device model", tests);
}
