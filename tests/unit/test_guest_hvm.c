/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest with a device model at the source: when QEMU is asked for what. The monitor, Xen and
 * libxl are made up here; the real ones are in the lab.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/xen/device_model.h"
#include "libxl-ext/xen/guest_kind.h"
#include "libxl-ext/xen/guest_state.h"
#include "libxl-ext/xen/xen_suspend.h"
#include "tests/unit/suite.h"

#define DOMID 9u

static struct xf_xen_source source;
static struct xf_xen_sink sink;
static struct xf_device_model dm;
static struct xf_err err;
static char dir[] = "/tmp/xf-hvm-XXXXXX", saved[64];

static struct {
    int opens, open_now, ons, offs, saves, suspends, resumes, loads;
    int stops, by_libxl;
    bool refuses, suspend_fails, stop_fails, video_unmapped;
    long bytes; /* of the devices' state; -1: it writes none */
} qemu;

int xf_qmp_open(struct xf_qmp *q, const char *path, uint32_t domid, int limit_ms,
                struct xf_tick tick, struct xf_err *e)
{
    (void)tick;
    CU_ASSERT(strstr(path, "-9") && domid == DOMID && limit_ms > 0 && q->fd < 0);
    if (qemu.refuses)
        return xf_fail(e, ECONNREFUSED, "nobody listens");
    qemu.opens++;
    qemu.open_now++;
    q->fd = 100;
    return 0;
}

void xf_qmp_close(struct xf_qmp *q)
{
    qemu.open_now -= q->fd >= 0;
    q->fd = -1;
}

int xf_qmp_log_on(struct xf_qmp *q, struct xf_err *e)
{
    (void)e;
    CU_ASSERT(q->fd == 100);
    qemu.ons++;
    q->log_on = true;
    return 0;
}

int xf_qmp_log_off(struct xf_qmp *q, struct xf_err *e)
{
    (void)e;
    CU_ASSERT(q->fd == 100 && q->log_on);
    qemu.offs++;
    q->log_on = false;
    return 0;
}

int xf_qmp_save(struct xf_qmp *q, const char *file, struct xf_err *e)
{
    struct stat st;
    int fd;

    CU_ASSERT(q->fd == 100);
    qemu.saves++;
    snprintf(saved, sizeof(saved), "%s", file);
    /* Made for it, so that nobody else can read it. */
    CU_ASSERT(!stat(file, &st) && (st.st_mode & 0777) == 0600 && !st.st_size);
    if (qemu.bytes < 0)
        return xf_fail(e, EREMOTEIO, "no");
    fd = open(file, O_WRONLY | O_TRUNC);
    CU_ASSERT(!ftruncate(fd, qemu.bytes) && (qemu.bytes < 4 || write(fd, "QEVM", 4) == 4));
    close(fd);
    return 0;
}

int xf_qmp_stop(struct xf_qmp *q, struct xf_err *e)
{
    CU_ASSERT(q->fd == 100 && qemu.suspends == 1);
    qemu.stops++;
    return qemu.stop_fails ? xf_fail(e, ETIMEDOUT, "it does not stop") : 0;
}

int xf_qmp_video_unmapped(struct xf_qmp *q, bool *out, struct xf_err *e)
{
    (void)e;
    CU_ASSERT(q->fd == 100 && qemu.stops == 1 && !qemu.saves);
    *out = qemu.video_unmapped;
    return 0;
}

int xf_xen_suspend(struct xf_source_vm *vm, struct xf_err *e)
{
    (void)vm;
    (void)e;
    qemu.by_libxl++;
    return 0;
}

int xf_xen_suspend_guest(struct xf_source_vm *vm, struct xf_err *e)
{
    CU_ASSERT(vm == &source.vm && qemu.open_now == 1); /* while the guest runs, it is connected */
    qemu.suspends++;
    return qemu.suspend_fails ? xf_fail(e, ETIMEDOUT, "it does not suspend") : 0;
}

int xf_guest_resume(struct xf_source_vm *vm, struct xf_err *e)
{
    (void)vm;
    (void)e;
    CU_ASSERT_EQUAL(qemu.open_now, 0); /* libxl lets QEMU continue, by its own monitor */
    qemu.resumes++;
    return 0;
}

int xf_guest_state(struct xf_source_vm *vm, struct xf_state *s, struct xf_err *e)
{
    (void)vm;
    return xf_state_add_copy(s, XF_PART_HVM_CONTEXT, "context", 8, e);
}

int xf_device_model_load(struct xf_device_model *d, const void *state, size_t len, struct xf_err *e)
{
    (void)e;
    CU_ASSERT(d == &dm && len == 5 && !memcmp(state, "QEVM", 5));
    qemu.loads++;
    return 0;
}

static void begin(void)
{
    memset(&err, 0, sizeof(err));
    memset(&qemu, 0, sizeof(qemu));
    qemu.bytes = 9000;
    source = (struct xf_xen_source){.domid = DOMID, .monitor = XF_QMP_CLOSED};
}

/* Off is said only to a QEMU that was told on, by us: any other one would abort. */
static void test_log(void)
{
    struct xf_source_vm *vm = &source.vm;

    begin();
    CU_ASSERT(xf_guest_hvm.log_writes(vm, false, &err) == 0 && !qemu.opens);
    CU_ASSERT(xf_guest_hvm.log_writes(vm, true, &err) == 0 && qemu.ons == 1 && !qemu.open_now);
    CU_ASSERT(xf_guest_hvm.log_writes(vm, false, &err) == 0 && qemu.offs == 1 && !qemu.open_now);
    CU_ASSERT(xf_guest_hvm.log_writes(vm, false, &err) == 0 && qemu.offs == 1);
    qemu.refuses = true;
    CU_ASSERT(xf_guest_hvm.log_writes(vm, true, &err) == -1 && err.num == ECONNREFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "device model does not answer"));
}

static void test_state(void)
{
    struct xf_source_vm *vm = &source.vm;
    struct xf_state s = {0};
    const struct xf_part *p;
    struct stat st;

    begin();
    CU_ASSERT(xf_guest_hvm.suspend(vm, &err) == 0 && qemu.suspends == 1 && qemu.open_now == 1);
    CU_ASSERT_EQUAL(qemu.stops, 1);
    CU_ASSERT(xf_guest_hvm.state(vm, &s, &err) == 0 && qemu.saves == 1 && !qemu.open_now);
    CU_ASSERT(qemu.opens == 1 && stat(saved, &st) && !strncmp(saved, dir, strlen(dir)));
    p = xf_state_find(&s, XF_PART_DEVICES);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    CU_ASSERT(p->len == 9000 && !memcmp(p->data, "QEVM", 5) && p->flags == XF_PART_MUST);
    xf_state_free(&s);
    CU_ASSERT(xf_guest_hvm.resume(vm, &err) == 0 && qemu.resumes == 1);
}

static void test_no_state(void)
{
    static const long wrong[] = {-1, 0, XF_DEVICES_MAX + 1};
    struct xf_source_vm *vm = &source.vm;
    struct stat st;

    for (unsigned i = 0; i < 3; i++) {
        struct xf_state s = {0};

        begin();
        qemu.bytes = wrong[i];
        CU_ASSERT(xf_guest_hvm.suspend(vm, &err) == 0);
        CU_ASSERT(xf_guest_hvm.state(vm, &s, &err) == -1 && err.num);
        CU_ASSERT(!xf_state_find(&s, XF_PART_DEVICES) && stat(saved, &st) && !qemu.open_now);
        xf_state_free(&s);
        CU_ASSERT(xf_guest_hvm.resume(vm, &err) == 0);
    }
    begin();
    qemu.refuses = true;
    CU_ASSERT(xf_guest_hvm.suspend(vm, &err) == -1 && !qemu.suspends); /* it still runs */
    begin();
    qemu.suspend_fails = true;
    CU_ASSERT(xf_guest_hvm.suspend(vm, &err) == -1 && err.num == ETIMEDOUT);
    CU_ASSERT(xf_guest_hvm.resume(vm, &err) == 0 && !qemu.open_now && !qemu.saves && !qemu.stops);
    begin();
    qemu.stop_fails = true;
    CU_ASSERT(xf_guest_hvm.suspend(vm, &err) == -1 && err.num == ETIMEDOUT && qemu.suspends == 1);
    CU_ASSERT(xf_guest_hvm.resume(vm, &err) == 0 && !qemu.open_now);
    begin();
    qemu.video_unmapped = true;
    source.early = true;
    CU_ASSERT(xf_guest_hvm.suspend(vm, &err) == -1 && err.num == EBUSY);
    CU_ASSERT(xf_guest_hvm.resume(vm, &err) == 0 && !qemu.open_now && !qemu.saves);
    begin();
    qemu.video_unmapped = true; /* which does not matter to one that starts late */
    CU_ASSERT(xf_guest_hvm.suspend(vm, &err) == 0);
    CU_ASSERT(xf_guest_hvm.resume(vm, &err) == 0);
    /* Without privileges it cannot open the file; libxl has had it save into one. */
    begin();
    source.restricted = true;
    CU_ASSERT(xf_guest_hvm.suspend(vm, &err) == 0 && qemu.by_libxl == 1 && !qemu.opens);
}

static void test_load(void)
{
    struct xf_state s = {0};

    begin();
    sink = (struct xf_xen_sink){.domid = DOMID, .dm = &dm};
    CU_ASSERT(xf_guest_hvm.load_devices(&sink.vm, &s, &err) == -1 && err.num == EPROTO);
    CU_ASSERT_EQUAL_FATAL(xf_state_add_copy(&s, XF_PART_DEVICES, "QEVM", 5, &err), 0);
    CU_ASSERT(xf_guest_hvm.load_devices(&sink.vm, &s, &err) == 0 && qemu.loads == 1);
    xf_state_free(&s);
}

int main(void)
{
    CU_TestInfo tests[] = {{"QEMU logs what it writes", test_log},
                           {"the state of its devices", test_state},
                           {"... which cannot be had", test_no_state},
                           {"at the sink", test_load},
                           CU_TEST_INFO_NULL};
    int rc;

    if (!mkdtemp(dir) || setenv(XF_RUN_DIR_ENV, dir, 1))
        return 1;
    rc = run_suite("a guest with a device model", tests);
    rmdir(dir);
    return rc;
}
