/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CHECK at the source, of a guest whose disks move, too: which do, which are refused and why, and
 * what the destination's answer makes of the configuration. libxl, Xen and the QEMU are made up.
 */
#include <errno.h>
#include <fcntl.h>
#include <libxl_utils.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libxl-ext/source/check_disks.h"
#include "libxl-ext/xen/guest_kind.h"
#include "libxl-ext/xen/pv_drivers.h"
#include "tests/unit/suite.h"

#define BYTES (1u << 20)

static char image[] = "/var/tmp/xf-disks-XXXXXX";
static struct xf_move m;
static struct xf_move_opts o;
static struct xf_report report;
static struct xf_findings found;
static struct xf_err err;
static libxl_device_disk disks[10];

/* --- instead of libxl, Xen, and disks/mirror.c --- */

static struct {
    bool no_drivers, leftover;
    int find_fails; /* errno */
    bool not_raw, read_only;
    uint64_t size;
    const char *path;
    unsigned cleared;
} fake;

int libxl_vdev_to_device_disk(libxl_ctx *ctx, uint32_t domid, const char *vdev,
                              libxl_device_disk *disk)
{
    char path[100];

    (void)ctx;
    CU_ASSERT(domid == 7 && vdev[0]);
    if (!fake.path)
        return ERROR_NOTFOUND;
    snprintf(path, sizeof(path), "%s", fake.path);
    disk->pdev_path = strdup(path);
    return 0;
}

char *libxl_domain_config_to_json(libxl_ctx *ctx, libxl_domain_config *p)
{
    (void)ctx, (void)p;
    return strdup("{}");
}

int xf_has_pv_drivers(xc_interface *xch, uint32_t domid, bool *has, struct xf_err *e)
{
    (void)xch, (void)domid, (void)e;
    *has = !fake.no_drivers;
    return 0;
}

int xf_mirror_clear(const struct xf_mirror_at *at, const char *vdev, bool *cleared,
                    struct xf_err *e)
{
    (void)vdev, (void)cleared, (void)e;
    CU_ASSERT(at->domid == 7 && strstr(at->monitor, "7"));
    fake.cleared++;
    return 0;
}

int xf_mirror_find(const struct xf_mirror_at *at, const char *vdev, struct xf_mirror_disk *out,
                   struct xf_err *e)
{
    CU_ASSERT_EQUAL(at->domid, 7);
    if (fake.find_fails)
        return xf_fail(e, fake.find_fails, "no such disk, or a job");
    *out = (struct xf_mirror_disk){
        .size = fake.size, .raw = !fake.not_raw, .read_only = fake.read_only};
    snprintf(out->vdev, sizeof(out->vdev), "%s", vdev);
    return 0;
}

/* --- --- */

static void add_disk(const char *vdev)
{
    libxl_device_disk *d = &disks[m.check.config.num_disks++];
    struct xf_need *need = &m.check.hello.needs[m.check.hello.nr_needs++];

    libxl_device_disk_init(d);
    d->vdev = strdup(vdev);
    d->pdev_path = strdup(image);
    d->format = LIBXL_DISK_FORMAT_RAW;
    d->backend = LIBXL_DISK_BACKEND_QDISK;
    d->readwrite = 1;
    need->kind = XF_NEED_DISK;
    snprintf(need->what, sizeof(need->what), "%s", image);
    snprintf(need->of, sizeof(need->of), "disk %s", vdev);
}

static void begin(void)
{
    static struct xf_need needs[16];

    for (int i = 0; i < m.check.config.num_disks; i++)
        libxl_device_disk_dispose(&disks[i]);
    free(m.check.config_json);
    memset(&m, 0, sizeof(m));
    memset(&o, 0, sizeof(o));
    memset(&found, 0, sizeof(found));
    memset(&report, 0, sizeof(report));
    memset(&fake, 0, sizeof(fake));
    xf_clear(&err);
    fake.size = BYTES;
    fake.path = image;
    m.o = &o;
    m.report = &report;
    m.domid = 7;
    m.check.hello.needs = needs;
    m.check.config.disks = disks;
    add_disk("xvda");
    add_disk("xvdb");
}

static void wish(const char *vdev, const char *target)
{
    snprintf(o.disks[o.nr_disks].vdev, XF_VDEV, "%s", vdev);
    snprintf(o.disks[o.nr_disks++].target, XF_DISK_PATH, "%s", target);
}

static void look(void)
{
    CU_ASSERT_EQUAL(xf_move_disks_look(&m, &found, &err), 0);
}

static void refused(const char *text)
{
    bool good;

    look();
    good = found.n && found.list[0].severity == XF_REFUSAL && strstr(found.list[0].text, text);
    if (!good)
        printf("\n  wanted '%s': %s\n", text, found.list[0].text);
    CU_ASSERT(good);
}

static void none_asked(void)
{
    begin();
    look();
    CU_ASSERT(!found.n && !m.disks.nr && m.check.hello.nr_needs == 2 && !fake.cleared);
    CU_ASSERT_EQUAL(xf_move_disks_place(&m, &found, &err), 0);
    CU_ASSERT(!m.check.config_json);
}

static void which_move(void)
{
    begin();
    o.all_disks = true;
    add_disk("xvdc");
    disks[2].readwrite = 0;
    add_disk("hdd");
    disks[3].is_cdrom = 1;
    look();
    CU_ASSERT(!found.n && m.disks.nr == 2 && m.check.hello.nr_disks == 2 && fake.cleared == 2);
    CU_ASSERT(m.check.hello.verify_disks && report.nr_disks == 2 && report.all_disks);
    CU_ASSERT_STRING_EQUAL(m.check.hello.disks[1].vdev, "xvdb");
    CU_ASSERT_STRING_EQUAL(m.check.hello.disks[1].name, strrchr(image, '/') + 1);
    CU_ASSERT(m.check.hello.disks[0].bytes == BYTES && m.check.hello.disks[0].sparse);
    CU_ASSERT_STRING_EQUAL(report.disks[0].source, image);
    /* The others must be there. */
    CU_ASSERT_EQUAL(m.check.hello.nr_needs, 2);
    for (unsigned i = 0; i < 2; i++)
        CU_ASSERT(!strstr(m.check.hello.needs[i].of, "xvda") &&
                  !strstr(m.check.hello.needs[i].of, "xvdb"));

    begin();
    wish("xvdb", "vg:vg0");
    o.no_verify_disks = true;
    fake.path = "aio:/etc/passwd"; /* as libxl's xenstore has it */
    look();
    CU_ASSERT(!found.n && m.disks.nr == 1 && m.disks.list[0].index == 1);
    CU_ASSERT(!m.check.hello.verify_disks && m.check.hello.nr_needs == 1);
    CU_ASSERT(!report.all_disks); /* it goes on writing to xvda */
    CU_ASSERT_STRING_EQUAL(m.check.hello.disks[0].want, "vg:vg0");
    CU_ASSERT_STRING_EQUAL(report.disks[0].source, "/etc/passwd");

    begin();
    o.all_disks = o.check_only = true;
    look();
    CU_ASSERT(!fake.cleared && m.disks.nr == 2); /* nothing is touched */
}

static void which_cannot(void)
{
    begin();
    wish("xvdz", "");
    refused("has no disk xvdz");
    begin();
    wish("xvda", "");
    disks[0].readwrite = 0;
    refused("disk xvda is read-only");
    begin();
    wish("xvda", "");
    disks[0].is_cdrom = 1;
    refused("removable media");
    begin();
    o.all_disks = true;
    disks[0].format = LIBXL_DISK_FORMAT_QCOW2;
    refused("qemu-img convert");
    begin();
    o.all_disks = true;
    disks[0].script = strdup("block-drbd");
    refused("script=");
    begin();
    o.all_disks = true;
    disks[0].backend_domname = strdup("storage");
    refused("another domain");
    begin();
    o.all_disks = true;
    fake.find_fails = ENOENT;
    refused("backendtype=qdisk");
    begin();
    o.all_disks = true;
    fake.find_fails = EBUSY;
    refused("cannot be copied: no such disk, or a job");
    begin();
    o.all_disks = true;
    fake.size = 1000;
    refused("multiple of 512");
    begin();
    o.all_disks = true;
    fake.not_raw = true;
    refused("not a raw disk");
    begin();
    o.all_disks = true;
    fake.path = NULL;
    refused("it is not attached");
    begin();
    o.all_disks = true;
    fake.path = "/nowhere/at/all";
    refused("cannot be looked at");
    begin();
    o.all_disks = true;
    fake.no_drivers = true;
    m.check.kind = &xf_guest_hvm;
    refused("no PV drivers");
    begin();
    o.all_disks = true;
    disks[0].readwrite = disks[1].readwrite = 0;
    refused("no disk that could move");
    begin();
    o.all_disks = true;
    for (char v[] = "xvdc"; v[3] < 'i'; v[3]++)
        add_disk(v);
    refused("at most 7 disks");
}

static void placed(void)
{
    begin();
    o.all_disks = true;
    look();
    m.check.reply.disks = true;
    m.check.reply.nr_there = 2;
    snprintf(m.check.reply.there[0].path, XF_DISK_PATH, "/srv/there/a");
    snprintf(m.check.reply.there[1].path, XF_DISK_PATH, "/dev/vg0/b");
    m.check.reply.there[1].free = 5 << 20;
    CU_ASSERT_EQUAL(xf_move_disks_place(&m, &found, &err), 0);
    CU_ASSERT(found.n == 2 && found.list[1].severity == XF_INFO);
    CU_ASSERT_PTR_NOT_NULL(strstr(found.list[1].text, "goes to /dev/vg0/b, where 5 MiB are free"));
    CU_ASSERT_STRING_EQUAL(disks[0].pdev_path, "/srv/there/a");
    CU_ASSERT_STRING_EQUAL(disks[1].pdev_path, "/dev/vg0/b");
    CU_ASSERT_EQUAL(disks[1].backend, LIBXL_DISK_BACKEND_QDISK);
    CU_ASSERT_STRING_EQUAL(m.check.config_json, "{}");
    CU_ASSERT_STRING_EQUAL(report.disks[1].target, "/dev/vg0/b");

    report.forecast.link_bytes_per_s = 1000;
    report.disks[0].used = 5000;
    xf_move_disks_foresee(&m);
    CU_ASSERT_DOUBLE_EQUAL(report.disks[0].forecast_s, 5, 0.01);
    o.disk_bandwidth = 100;
    xf_move_disks_foresee(&m);
    CU_ASSERT_DOUBLE_EQUAL(report.disks[0].forecast_s, 50, 0.01);
}

static void bad_answers(void)
{
    begin();
    o.all_disks = true;
    look();
    CU_ASSERT_EQUAL(xf_move_disks_place(&m, &found, &err), 0);
    CU_ASSERT(found.n == 1 && found.list[0].severity == XF_REFUSAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(found.list[0].text, "cannot receive disks; install"));

    begin();
    o.all_disks = true;
    look();
    m.check.reply.disks = true;
    m.check.reply.nr_there = 1;
    CU_ASSERT_EQUAL(xf_move_disks_place(&m, &found, &err), -1);
    CU_ASSERT(err.num == EPROTO && strstr(err.text, "has places for 1 disks instead of 2"));
    CU_ASSERT_STRING_EQUAL(disks[0].pdev_path, image);

    begin(); /* it has refused, and says why */
    o.all_disks = true;
    look();
    m.check.reply.disks = true;
    xf_find(&found, XF_REFUSAL, "disk-space", "too little");
    CU_ASSERT_EQUAL(xf_move_disks_place(&m, &found, &err), 0);
    CU_ASSERT_EQUAL(found.n, 1);
}

int main(void)
{
    CU_TestInfo tests[] = {{"none is asked for", none_asked},        {"which move", which_move},
                           {"which cannot", which_cannot},           {"where they go", placed},
                           {"answers that do not fit", bad_answers}, CU_TEST_INFO_NULL};
    int fd = mkstemp(image), rc;

    if (fd < 0 || ftruncate(fd, BYTES)) {
        perror("move disks: no image");
        return 1;
    }
    rc = run_suite("move, disks", tests);
    close(fd);
    unlink(image);
    return rc;
}
