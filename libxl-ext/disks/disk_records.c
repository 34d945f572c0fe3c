/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a disk's image is, in xenstore and in libxl's configuration: see disk_records.h. */
#include "libxl-ext/disks/disk_records.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>
#include <xenstore.h>

#include "transport/json_in.h"

#define DISKS_MAX 1024u
#define DEPTH 32
#define TRIES 5

static const char userdata[] = "libxl-json";

static int read_word(struct xs_handle *xs, const char *dir, const char *node, char *out,
                     size_t size)
{
    char path[200];
    unsigned len;
    char *value;
    bool fits;

    snprintf(path, sizeof(path), "%s/%s", dir, node);
    value = xs_read(xs, XBT_NULL, path, &len);
    fits = value && strlen(value) < size;
    if (fits)
        strcpy(out, value);
    free(value);
    return fits ? 0 : -1;
}

/* Is this device the disk? Then r is its record. */
static bool take(struct xf_disk_record *r, struct xs_handle *xs, const char *vdev)
{
    char name[32], params[XF_TARGET_PATH + 16], *colon;

    if (read_word(xs, r->copy, "backend", r->backend, sizeof(r->backend)) ||
        strncmp(r->backend, "/local/domain/0/backend/qdisk/", 30) != 0 ||
        read_word(xs, r->backend, "dev", name, sizeof(name)) || strcmp(name, vdev) != 0 ||
        read_word(xs, r->backend, "params", params, sizeof(params)))
        return false;
    colon = strchr(params, ':');
    if (!colon || colon - params >= (int)sizeof(r->kind) || strlen(colon + 1) >= sizeof(r->path))
        return false;
    *colon = 0;
    strcpy(r->kind, params);
    strcpy(r->path, colon + 1);
    return true;
}

int xf_disk_record_read(struct xf_disk_record *r, uint32_t domid, const char *vdev,
                        struct xf_err *err)
{
    struct xs_handle *xs = xs_open(0);
    bool found = false;
    char list[64], **ids;
    unsigned n = 0;

    if (!xs)
        return xf_fail(err, errno, "cannot reach xenstore: %s", strerror(errno));
    snprintf(list, sizeof(list), "/libxl/%u/device/vbd", domid);
    ids = xs_directory(xs, XBT_NULL, list, &n);
    for (unsigned i = 0; ids && i < n && !found; i++) {
        memset(r, 0, sizeof(*r));
        snprintf(r->copy, sizeof(r->copy), "%s/%.20s", list, ids[i]);
        found = take(r, xs, vdev);
    }
    free(ids);
    xs_close(xs);
    return found ? 0
                 : xf_fail(err, ENOENT, "xenstore has no disk %.40s of domain %u that QEMU serves",
                           vdev, domid);
}

static bool write_params(struct xs_handle *xs, xs_transaction_t t, const char *dir,
                         const char *params)
{
    char path[200];

    snprintf(path, sizeof(path), "%s/params", dir);
    return xs_write(xs, t, path, params, (unsigned)strlen(params));
}

static int write_xenstore(const struct xf_disk_record *r, const char *path, struct xf_err *err)
{
    struct xs_handle *xs = xs_open(0);
    char params[XF_TARGET_PATH + 16];
    bool done = false;
    int num = errno;

    snprintf(params, sizeof(params), "%s:%s", r->kind, path);
    for (int i = 0; xs && !done && i < TRIES; i++) {
        xs_transaction_t t = xs_transaction_start(xs);
        bool good = t != XBT_NULL && write_params(xs, t, r->backend, params) &&
                    write_params(xs, t, r->copy, params);

        num = errno;
        if (t != XBT_NULL && !xs_transaction_end(xs, t, !good)) {
            num = errno;
            if (num == EAGAIN)
                continue;
            break;
        }
        done = good;
        break;
    }
    if (xs)
        xs_close(xs);
    return done ? 0
                : xf_fail(err, num ? num : EIO, "cannot write to xenstore: %s",
                          strerror(num ? num : EIO));
}

/* --- libxl's --- */

static int edit(struct xf_json *j, const char *vdev, const char *path)
{
    struct xf_json disk;
    json_object *disks;
    size_t n, len;

    disks = xf_json_array(j, "disks", DISKS_MAX, &n);
    if (!disks)
        return -1;
    for (size_t i = 0; i < n; i++) {
        const char *name;

        if (xf_json_item(j, "disks", disks, i, &disk))
            return -1;
        if (!xf_json_has(&disk, "vdev"))
            continue;
        name = xf_json_string(&disk, "vdev", 64, &len);
        if (!name)
            return -1;
        if (strcmp(name, vdev) != 0)
            continue;
        json_object_object_add(disk.o, "pdev_path", json_object_new_string(path));
        return 0;
    }
    return xf_fail(j->err, ENOENT, "libxl's configuration of the domain has no disk %.40s", vdev);
}

char *xf_disk_record_edit(const char *json, size_t len, const char *vdev, const char *path,
                          struct xf_err *err)
{
    struct xf_json j;
    char *out = NULL;

    if (xf_json_open(&j, json, len, DEPTH, "libxl's configuration of the domain", err)) {
        xf_json_close(&j);
        return NULL;
    }
    if (!edit(&j, vdev, path)) {
        const char *text = json_object_to_json_string_ext(j.o, JSON_C_TO_STRING_PRETTY |
                                                                   JSON_C_TO_STRING_NOSLASHESCAPE);

        out = text ? strdup(text) : NULL;
        if (!out)
            xf_fail(err, ENOMEM, "out of memory");
    }
    xf_json_close(&j);
    return out;
}

static int write_libxl(libxl_ctx *ctx, uint32_t domid, const char *vdev, const char *path,
                       struct xf_err *err)
{
    uint8_t *data = NULL;
    char *text = NULL;
    int len = 0, rc = 0;

    if (libxl_userdata_retrieve(ctx, domid, userdata, &data, &len) || !data)
        return xf_fail(err, EIO, "cannot read libxl's configuration of domain %u", domid);
    /* libxl stores it with its NUL. */
    text = xf_disk_record_edit((char *)data, strnlen((char *)data, (size_t)len), vdev, path, err);
    free(data);
    if (!text)
        return -1;
    if (libxl_userdata_store(ctx, domid, userdata, (const uint8_t *)text, (int)strlen(text) + 1))
        rc = xf_fail(err, EIO, "cannot write libxl's configuration of domain %u", domid);
    free(text);
    return rc;
}

int xf_disk_record_write(struct xf_disk_record *r, libxl_ctx *ctx, uint32_t domid, const char *vdev,
                         const char *path, struct xf_err *err)
{
    if (write_xenstore(r, path, err))
        return -1;
    snprintf(r->path, sizeof(r->path), "%s", path);
    return write_libxl(ctx, domid, vdev, path, err);
}
