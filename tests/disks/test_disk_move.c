/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `xl disk-move` without Xen: a real QEMU with a writer, and a libxl and a xenstore made up here.
 * The guest goes on with the new image, and so do the records; or it is refused or fails, and
 * nothing is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <libxl.h>
#include <libxl_utils.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xenstore.h>

#include "libxl-ext/disks/disk_records.h"
#include "libxl-ext/libxl_ext.h"
#include "libxl-ext/xen/xen_open.h"
#include "tests/disks/host.h"
#include "tests/procguest/eventually.h"
#include "tests/unit/suite.h"

#define MIB (1ull << 20)
#define SIZE (16 * MIB)
#define DATA (4 * MIB)
#define BACKEND "/local/domain/0/backend/qdisk/7/51712"
#define COPY "/libxl/7/device/vbd/51712"

static struct disk_host h;
static struct xf_disk_moved moved;
static struct xf_err err;

static struct {
    char backend[300], copy[300]; /* params of both directories */
    char json[600];
    bool full; /* xenstore takes nothing */
    bool hvm, ended;
    libxl_device_disk disk;
} host;

/* --- in place of libxl and xenstore --- */

void xf_qmp_path(uint32_t domid, char out[XF_QMP_PATH])
{
    CU_ASSERT_EQUAL(domid, 7);
    snprintf(out, XF_QMP_PATH, "%s", h.at.monitor);
}

int libxl_ctx_alloc(libxl_ctx **ctx, int version, unsigned flags, xentoollog_logger *log)
{
    (void)version;
    (void)flags;
    (void)log;
    *ctx = (libxl_ctx *)&host;
    return 0;
}

int libxl_ctx_free(libxl_ctx *ctx)
{
    CU_ASSERT_PTR_EQUAL(ctx, &host);
    return 0;
}

int xf_xen_check(struct xf_toollog *log, struct xf_err *why)
{
    (void)log;
    (void)why;
    return 0;
}

int libxl_domain_qualifier_to_domid(libxl_ctx *ctx, const char *name, uint32_t *domid)
{
    (void)ctx;
    *domid = 7;
    return strcmp(name, "g1") ? ERROR_INVAL : 0;
}

int libxl_domain_info(libxl_ctx *ctx, libxl_dominfo *info, uint32_t domid)
{
    (void)ctx;
    CU_ASSERT_EQUAL(domid, 7);
    info->domain_type = host.hvm ? LIBXL_DOMAIN_TYPE_HVM : LIBXL_DOMAIN_TYPE_PVH;
    info->shutdown = host.ended;
    return 0;
}

int libxl_vdev_to_device_disk(libxl_ctx *ctx, uint32_t domid, const char *vdev,
                              libxl_device_disk *disk)
{
    (void)ctx;
    (void)domid;
    *disk = host.disk;
    return strcmp(vdev, DISK_VDEV) ? ERROR_INVAL : 0;
}

void libxl_device_disk_dispose(libxl_device_disk *disk)
{
    (void)disk; /* nothing in it is malloc()ed here */
}

int libxl_userdata_retrieve(libxl_ctx *ctx, uint32_t domid, const char *id, uint8_t **data,
                            int *len)
{
    (void)ctx;
    (void)domid;
    CU_ASSERT_STRING_EQUAL(id, "libxl-json");
    *data = (uint8_t *)strdup(host.json);
    *len = (int)strlen(host.json) + 1;
    return 0;
}

int libxl_userdata_store(libxl_ctx *ctx, uint32_t domid, const char *id, const uint8_t *data,
                         int len)
{
    (void)ctx;
    (void)domid;
    (void)id;
    CU_ASSERT_FATAL(len > 0 && len < (int)sizeof(host.json) && !data[len - 1]);
    memcpy(host.json, data, (size_t)len);
    return 0;
}

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    return (struct xs_handle *)&host;
}

void xs_close(struct xs_handle *xs)
{
    (void)xs;
}

char **xs_directory(struct xs_handle *xs, xs_transaction_t t, const char *path, unsigned *n)
{
    char **list = malloc(sizeof(*list) + 8);

    (void)xs;
    (void)t;
    CU_ASSERT_STRING_EQUAL(path, "/libxl/7/device/vbd");
    list[0] = strcpy((char *)(list + 1), "51712");
    *n = 1;
    return list;
}

void *xs_read(struct xs_handle *xs, xs_transaction_t t, const char *path, unsigned *len)
{
    const char *value = !strcmp(path, COPY "/backend")     ? BACKEND
                        : !strcmp(path, BACKEND "/dev")    ? DISK_VDEV
                        : !strcmp(path, BACKEND "/params") ? host.backend
                                                           : NULL;

    (void)xs;
    (void)t;
    if (!value)
        return NULL;
    *len = (unsigned)strlen(value);
    return strdup(value);
}

xs_transaction_t xs_transaction_start(struct xs_handle *xs)
{
    (void)xs;
    return 1;
}

bool xs_transaction_end(struct xs_handle *xs, xs_transaction_t t, bool abort)
{
    (void)xs;
    (void)t;
    (void)abort;
    return true;
}

bool xs_write(struct xs_handle *xs, xs_transaction_t t, const char *path, const void *data,
              unsigned len)
{
    char *to = !strcmp(path, BACKEND "/params") ? host.backend
               : !strcmp(path, COPY "/params")  ? host.copy
                                                : NULL;

    (void)xs;
    (void)t;
    errno = ENOSPC;
    if (!to || host.full)
        return false;
    snprintf(to, sizeof(host.copy), "%.*s", (int)len, (const char *)data);
    return true;
}

/* --- */

static void begin(void)
{
    xf_clear(&err);
    disk_host_begin(&h, SIZE, DATA);
    setenv("XENFERRY_RUN_DIR", h.dir, 1);
    memset(&host, 0, sizeof(host));
    libxl_device_disk_init(&host.disk);
    host.disk.backend = LIBXL_DISK_BACKEND_QDISK;
    host.disk.format = LIBXL_DISK_FORMAT_RAW;
    host.disk.readwrite = 1;
    snprintf(host.backend, sizeof(host.backend), "aio:%s", h.image);
    snprintf(host.copy, sizeof(host.copy), "aio:%s", h.image);
    snprintf(host.json, sizeof(host.json),
             "{\"c_info\":{\"type\":\"pvh\"},\"disks\":[{\"pdev_path\":\"/other\","
             "\"vdev\":\"xvdb\"},{\"pdev_path\":\"%s\",\"vdev\":\"xvda\",\"format\":"
             "\"raw\"}]}",
             h.image);
    disk_writer_begin(&h, 100);
}

static void end(void)
{
    disk_writer_end(&h);
    CU_ASSERT(disk_host_well(&h));
    disk_host_end(&h);
}

static enum xf_disk_outcome move_to(const char *target, struct xf_disk_move_opts o)
{
    enum xf_disk_outcome outcome;

    o.domain = o.domain ? o.domain : "g1";
    o.vdev = o.vdev ? o.vdev : DISK_VDEV;
    o.target = target;
    xf_clear(&err);
    outcome = xf_disk_move(&o, &moved, &err);
    CU_ASSERT_EQUAL(outcome != XF_DISK_MOVED, err.num != 0);
    return outcome;
}

static bool exists(const char *path)
{
    return !access(path, F_OK);
}

/* The guest is on `path`, and everybody knows. */
static void is_at(const char *path)
{
    char params[300], member[320];

    CU_ASSERT(disk_writer_goes_on(&h, 20));
    snprintf(params, sizeof(params), "aio:%s", path);
    CU_ASSERT_STRING_EQUAL(host.backend, params);
    CU_ASSERT_STRING_EQUAL(host.copy, params);
    snprintf(member, sizeof(member), "\"pdev_path\":\"%s\"", path);
    CU_ASSERT_PTR_NOT_NULL(strstr(host.json, member));
    CU_ASSERT_PTR_NOT_NULL(strstr(host.json, "\"/other\""));
}

static void test_file(void)
{
    char to[128];

    begin();
    snprintf(to, sizeof(to), "%s/new.img", h.dir);
    CU_ASSERT_EQUAL(move_to(to, (struct xf_disk_move_opts){0}), XF_DISK_MOVED);
    if (err.num)
        fprintf(stderr, "%s\n", err.text);
    is_at(to);
    CU_ASSERT_STRING_EQUAL(moved.from, h.image);
    CU_ASSERT_STRING_EQUAL(moved.to, to);
    CU_ASSERT(moved.size == SIZE && exists(moved.kept) && !exists(h.image));
    disk_writer_end(&h);
    CU_ASSERT_EQUAL(disk_wrong(&h, to), 0);
    end();
}

/* Into a directory under its name, and back; the old ones removed. */
static void test_directory(void)
{
    char dir[100], to[128];

    begin();
    snprintf(dir, sizeof(dir), "%s/store", h.dir);
    snprintf(to, sizeof(to), "%s/guest.img", dir);
    CU_ASSERT_FATAL(!mkdir(dir, 0700));
    CU_ASSERT_EQUAL(move_to(dir, (struct xf_disk_move_opts){.delete_source = true}), XF_DISK_MOVED);
    is_at(to);
    CU_ASSERT(!exists(h.image) && !moved.kept[0]);
    CU_ASSERT_EQUAL(
        move_to(h.image, (struct xf_disk_move_opts){.delete_source = true, .no_verify = true}),
        XF_DISK_MOVED);
    is_at(h.image);
    CU_ASSERT(!exists(to));
    disk_writer_end(&h);
    CU_ASSERT_EQUAL(disk_wrong(&h, h.image), 0);
    end();
}

static void refused(const char *target, int num, const char *words)
{
    char left[256];

    CU_ASSERT_EQUAL(move_to(target, (struct xf_disk_move_opts){0}), XF_DISK_REFUSED);
    CU_ASSERT_EQUAL(err.num, num);
    if (!strstr(err.text, words))
        fprintf(stderr, "not \"%s\": %s\n", words, err.text);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, words));
    disk_leftovers(&h, left);
    CU_ASSERT_STRING_EQUAL(left, "");
}

static void test_refused(void)
{
    char to[128], link[128];

    begin();
    snprintf(to, sizeof(to), "%s/new.img", h.dir);
    snprintf(link, sizeof(link), "%s/link", h.dir);
    host.disk.backend = LIBXL_DISK_BACKEND_PHY;
    refused(to, EOPNOTSUPP, "pvmove");
    host.disk.backend = LIBXL_DISK_BACKEND_QDISK;
    host.disk.format = LIBXL_DISK_FORMAT_QCOW2;
    refused(to, EOPNOTSUPP, "not raw");
    host.disk.format = LIBXL_DISK_FORMAT_RAW;
    host.disk.script = (char *)"block-drbd";
    refused(to, EOPNOTSUPP, "script=block-drbd");
    host.disk.script = NULL;
    host.disk.readwrite = 0;
    refused(to, EOPNOTSUPP, "read-only");
    host.disk.readwrite = 1;
    host.disk.is_cdrom = 1;
    refused(to, EOPNOTSUPP, "cd-insert");
    host.disk.is_cdrom = 0;
    host.disk.backend_domid = 3;
    refused(to, EOPNOTSUPP, "served by domain 3");
    host.disk.backend_domid = 0;
    host.hvm = true;
    refused(to, EOPNOTSUPP, "HVM");
    host.hvm = false;
    host.ended = true;
    refused(to, EINVAL, "does not run");
    host.ended = false;
    refused(h.image, ELOOP, "already");
    CU_ASSERT_FATAL(!symlink(h.image, link));
    refused(link, ELOOP, "already");
    refused(h.log, EEXIST, "exists");
    refused("/nowhere/at/all", ENOENT, "directory");
    CU_ASSERT_EQUAL(move_to(to, (struct xf_disk_move_opts){.domain = "g2"}), XF_DISK_REFUSED);
    CU_ASSERT_EQUAL(move_to(to, (struct xf_disk_move_opts){.vdev = "xvdz"}), XF_DISK_REFUSED);
    CU_ASSERT(!exists(to) && exists(h.image) && exists(h.log));
    is_at(h.image);
    disk_writer_end(&h);
    CU_ASSERT_EQUAL(disk_wrong(&h, h.image), 0);
    end();
}

/* --- failures --- */

static volatile sig_atomic_t cancel;

static void cancel_soon(void *priv, const struct xf_disk_progress *p)
{
    (void)priv;
    (void)p;
    cancel = 1;
}

static void test_cancel(void)
{
    char to[128], left[256];

    begin();
    snprintf(to, sizeof(to), "%s/new.img", h.dir);
    cancel = 0;
    CU_ASSERT_EQUAL(move_to(to, (struct xf_disk_move_opts){.bandwidth = MIB / 4,
                                                           .cancel = &cancel,
                                                           .progress = cancel_soon}),
                    XF_DISK_STAYED);
    CU_ASSERT_EQUAL(err.num, ECANCELED);
    disk_leftovers(&h, left);
    CU_ASSERT_STRING_EQUAL(left, "");
    CU_ASSERT(!exists(to));
    is_at(h.image);
    disk_writer_end(&h);
    CU_ASSERT_EQUAL(disk_wrong(&h, h.image), 0);
    end();
}

static char filler[128];

/* Somebody else takes the room. */
static void fill(void *priv, const struct xf_disk_progress *p)
{
    static const char block[65536];
    int fd = open(filler, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);

    (void)priv;
    (void)p;
    CU_ASSERT_FATAL(fd >= 0);
    while (write(fd, block, sizeof(block)) > 0)
        ;
    CU_ASSERT_EQUAL(errno, ENOSPC);
    close(fd);
}

/* No room from the beginning; none left in the middle; and enough. */
static void test_full(void)
{
    char dir[100], to[128], left[256];

    if (geteuid()) {
        printf("skipped: not root\n");
        return;
    }
    begin();
    snprintf(dir, sizeof(dir), "%s/small", h.dir);
    snprintf(to, sizeof(to), "%s/guest.img", dir);
    snprintf(filler, sizeof(filler), "%s/filler", dir);
    CU_ASSERT_FATAL(!mkdir(dir, 0700) && !mount("none", dir, "tmpfs", 0, "size=1m"));
    CU_ASSERT_EQUAL(move_to(dir, (struct xf_disk_move_opts){0}), XF_DISK_REFUSED);
    CU_ASSERT(err.num == ENOSPC && !exists(to));
    CU_ASSERT_FATAL(!mount("none", dir, "tmpfs", MS_REMOUNT, "size=24m"));
    CU_ASSERT_EQUAL(
        move_to(dir, (struct xf_disk_move_opts){.bandwidth = MIB / 4, .progress = fill}),
        XF_DISK_STAYED);
    CU_ASSERT(err.num == EIO && strstr(err.text, "No space left"));
    CU_ASSERT(!exists(to) && exists(h.image));
    disk_leftovers(&h, left);
    CU_ASSERT_STRING_EQUAL(left, "");
    CU_ASSERT_FATAL(!unlink(filler));
    CU_ASSERT_EQUAL(move_to(dir, (struct xf_disk_move_opts){.no_verify = true}), XF_DISK_MOVED);
    is_at(to);
    CU_ASSERT_EQUAL(move_to(h.image, (struct xf_disk_move_opts){.delete_source = true}),
                    XF_DISK_MOVED);
    is_at(h.image);
    CU_ASSERT_EQUAL(umount(dir), 0);
    end();
}

/* xenstore refuses: the guest is there already, and the next call brings the records up to date. */
static void test_half(void)
{
    char to[128];

    begin();
    snprintf(to, sizeof(to), "%s/new.img", h.dir);
    host.full = true;
    CU_ASSERT_EQUAL(move_to(to, (struct xf_disk_move_opts){0}), XF_DISK_HALF);
    CU_ASSERT_EQUAL(err.num, ENOSPC);
    CU_ASSERT(exists(h.image) && exists(to));
    host.full = false;
    CU_ASSERT_EQUAL(move_to(h.dir, (struct xf_disk_move_opts){0}), XF_DISK_REFUSED);
    CU_ASSERT_EQUAL(err.num, EBUSY);
    CU_ASSERT_EQUAL(move_to(to, (struct xf_disk_move_opts){0}), XF_DISK_MOVED);
    CU_ASSERT(moved.finished_only && !exists(h.image) && exists(moved.kept));
    is_at(to);
    disk_writer_end(&h);
    CU_ASSERT_EQUAL(disk_wrong(&h, to), 0);
    end();
}

static void test_edit(void)
{
    static const char *const bad[] = {"",
                                      "[]",
                                      "{}",
                                      "{\"disks\": 1}",
                                      "{\"disks\": [1]}",
                                      "{\"disks\": [{\"vdev\": 1}]}",
                                      "{\"disks\": []} x"};
    static const char big[] = "{\"n\": 18446744073709551615, \"disks\": [{\"vdev\": \"xvda\"}]}";
    char *text;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        xf_clear(&err);
        CU_ASSERT_PTR_NULL(xf_disk_record_edit(bad[i], strlen(bad[i]), "xvda", "/a", &err));
        CU_ASSERT_EQUAL(err.num, EPROTO);
    }
    xf_clear(&err);
    CU_ASSERT_PTR_NULL(xf_disk_record_edit("{\"disks\": [{}]}", 15, "xvda", "/a", &err));
    CU_ASSERT_EQUAL(err.num, ENOENT);
    xf_clear(&err);
    text = xf_disk_record_edit(big, strlen(big), "xvda", "/a \"b\"", &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "18446744073709551615"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"/a \\\"b\\\"\""));
    free(text);
}

int main(void)
{
    CU_TestInfo tests[] = {{"to a file", test_file},
                           {"to a directory and back", test_directory},
                           {"refused", test_refused},
                           {"cancelled", test_cancel},
                           {"a full file system", test_full},
                           {"half done, then finished", test_half},
                           {"libxl's configuration", test_edit},
                           CU_TEST_INFO_NULL};

    disk_need();
    alarm(390);
    return run_suite("disk move", tests);
}
