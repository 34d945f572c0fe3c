/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An HVM guest (guest_kind.h): hardware-assisted, with QEMU as its device model. Its state is in
 * Xen, as a PVH guest's, and in QEMU, which also reads and writes its memory and its disks.
 */
#include "libxl-ext/xen/guest_kind.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/xen/device_model.h"
#include "libxl-ext/xen/guest_state.h"
#include "libxl-ext/xen/qmp_commands.h"
#include "libxl-ext/xen/static_state.h"
#include "libxl-ext/xen/xen_eager.h"
#include "libxl-ext/xen/xen_suspend.h"
#include "pages/bitmap.h"
#include "transport/times.h"

#define FIRST_MIB 256u /* gfns */
#define GFN_4G (1ull << 20)
/* LIBXL_DEVICE_MODEL_SAVE_FILE, tools/libs/light/libxl_internal.h */
#define LIBXL_SAVED "/var/lib/xen/qemu-save.%u"
#define MONITOR_MS 8000 /* QEMU may be busy, or another tool connected */
_Static_assert(MONITOR_MS < XF_SOURCE_STALL_MS, "nothing is sent to the sink meanwhile");

static struct xf_xen_source *of(struct xf_source_vm *vm)
{
    return (struct xf_xen_source *)vm;
}

static int connect_to(struct xf_xen_source *x, struct xf_err *err)
{
    if (x->monitor.fd < 0 && xf_qmp_open_domain(&x->monitor, x->domid, MONITOR_MS, err))
        return xf_wrap(err, "the guest's device model does not answer");
    return 0;
}

/* A connection of its own each time: the monitor serves one client, and COPY may take hours. */
static int log_writes(struct xf_source_vm *vm, bool on, struct xf_err *err)
{
    struct xf_xen_source *x = of(vm);
    int rc;

    if (!on && !x->monitor.log_on)
        return 0;
    if (connect_to(x, err))
        return -1;
    rc = on ? xf_qmp_log_on(&x->monitor, err) : xf_qmp_log_off(&x->monitor, err);
    xf_qmp_close(&x->monitor);
    return rc;
}

/*
 * A QEMU that is started before the guest's memory is there keeps a page of its own in place of the
 * video memory until a BAR maps it; the screen would be lost, and with it what the guest finds
 * there when it maps it again (xen_add_to_physmap(), hw/i386/xen/xen-hvm.c in QEMU).
 */
static int video_is_mapped(struct xf_xen_source *x, struct xf_err *err)
{
    bool unmapped;

    if (!x->early)
        return 0;
    if (xf_qmp_video_unmapped(&x->monitor, &unmapped, err))
        return -1;
    return unmapped ? xf_fail(err, EBUSY,
                              "the guest has unmapped the memory of its video card while it was "
                              "copied; move it again, which then takes late devices")
                    : 0;
}

/* QEMU is stopped when the guest has suspended: its last writes to memory and disks are done then.
 */
static int suspend(struct xf_source_vm *vm, struct xf_err *err)
{
    struct xf_xen_source *x = of(vm);

    if (x->restricted) /* the state is libxl's save */
        return xf_xen_suspend(vm, err);
    /* Now, because the guest still runs. */
    if (connect_to(x, err) || xf_xen_suspend_guest(vm, err))
        return -1;
    return xf_qmp_stop(&x->monitor, err) || video_is_mapped(x, err) ? -1 : 0;
}

static int resume(struct xf_source_vm *vm, struct xf_err *err)
{
    xf_qmp_close(&of(vm)->monitor);
    return xf_guest_resume(vm, err);
}

static int read_file(int fd, void **data, uint32_t *len, struct xf_err *err)
{
    struct stat st;
    uint8_t *d;

    if (fstat(fd, &st))
        return xf_fail(err, errno, "cannot look at the devices' state: %s", strerror(errno));
    if (st.st_size <= 0 || st.st_size > XF_DEVICES_MAX)
        return xf_fail(err, EIO, "the devices' state takes %lld bytes", (long long)st.st_size);
    d = malloc((size_t)st.st_size);
    if (!d)
        return xf_fail(err, ENOMEM, "out of memory for the devices' state");
    if (pread(fd, d, (size_t)st.st_size, 0) != st.st_size) {
        free(d);
        return xf_fail(err, EIO, "cannot read the devices' state");
    }
    *data = d;
    *len = (uint32_t)st.st_size;
    return 0;
}

/*
 * QEMU's "live" save gives up its locks of the guest's images, so that the copy's can open them; it
 * takes them back when it continues. Twice without continuing in between ends QEMU
 * (bdrv_inactivate_recurse(), block.c in QEMU, asserts), so this is the only one.
 */
static int save_devices(struct xf_xen_source *x, void **data, uint32_t *len, struct xf_err *err)
{
    char path[256];
    int fd, rc;

    if (xf_run_dir_make(err))
        return -1;
    snprintf(path, sizeof(path), "%.200s/devices-%u", xf_run_dir(), x->domid);
    unlink(path);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return xf_fail(err, errno, "cannot create %s: %s", path, strerror(errno));
    rc = xf_qmp_save(&x->monitor, path, err);
    if (!rc)
        rc = read_file(fd, data, len, err);
    unlink(path);
    close(fd);
    return rc;
}

/* What libxl had QEMU save when the guest suspended: QEMU has kept its images locked. */
static int read_saved(struct xf_xen_source *x, void **data, uint32_t *len, struct xf_err *err)
{
    char path[64];
    int fd, rc;

    snprintf(path, sizeof(path), LIBXL_SAVED, x->domid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return xf_fail(err, errno, "cannot open %s: %s", path, strerror(errno));
    rc = read_file(fd, data, len, err);
    close(fd);
    return rc;
}

static int state(struct xf_source_vm *vm, struct xf_state *s, struct xf_err *err)
{
    struct xf_xen_source *x = of(vm);
    void *data = NULL;
    uint32_t len = 0;
    int rc;

    if (xf_guest_state(vm, s, err))
        return -1;
    if (!x->restricted && x->monitor.fd < 0 && connect_to(x, err)) /* before_state has closed it */
        return -1;
    rc = x->restricted ? read_saved(x, &data, &len, err) : save_devices(x, &data, &len, err);
    xf_qmp_close(&x->monitor);
    return rc ? -1 : xf_state_add(s, XF_PART_DEVICES, XF_PART_MUST, data, len, err);
}

/*
 * QEMU maps its own memory (video memory, option ROMs) and the firmware's when it gets its state,
 * and cannot do without; only the guest's RAM may be absent. Besides, what any Linux needs.
 */
static int eager(struct xf_source_vm *vm, unsigned long *bitmap, struct xf_err *err)
{
    struct xf_xen_source *x = of(vm);

    for (uint64_t g = 0; g < FIRST_MIB && g < vm->nr_gfns; g++)
        xf_set(bitmap, g);
    for (uint64_t g = x->ram_low; g < vm->nr_gfns; g++)
        if (g < GFN_4G || g >= x->ram_end)
            xf_set(bitmap, g);
    return xf_xen_eager(vm, bitmap, err);
}

/* libxl has had its state saved for a file, and then it keeps its locks. */
static int release_disks(struct xf_source_vm *vm, struct xf_err *err)
{
    struct xf_xen_source *x = of(vm);
    void *unused = NULL;
    uint32_t len = 0;
    int rc;

    if (x->restricted) /* nor can it open a file for that */
        return 0;
    if (connect_to(x, err))
        return -1;
    rc = save_devices(x, &unused, &len, err);
    free(unused);
    xf_qmp_close(&x->monitor);
    return rc;
}

static int load_devices(struct xf_sink_vm *vm, const struct xf_state *s, struct xf_err *err)
{
    struct xf_xen_sink *x = (struct xf_xen_sink *)vm;
    const struct xf_part *p = xf_state_find(s, XF_PART_DEVICES);

    if (!p)
        return xf_fail(err, EPROTO, "the source did not send the state of the guest's devices");
    return xf_device_model_load(x->dm, p->data, p->len, err);
}

const struct xf_guest_kind_ops xf_guest_hvm = {
    .name = "hvm",
    .device_model = true,
    .rings = xf_ring_gfns,
    .skeleton = xf_guest_skeleton,
    .log_writes = log_writes,
    .suspend = suspend,
    .resume = resume,
    .state = state,
    .eager = eager,
    .release_disks = release_disks,
    .load_state = xf_guest_load_state,
    .load_devices = load_devices,
    .run = xf_guest_run,
};
