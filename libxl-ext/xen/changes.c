/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Has somebody changed a domain since CHECK? See changes.h. */
#include "libxl-ext/xen/changes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICES_MAX (1u << 20) /* bytes kept of the list of devices */
#define DEPTH 3u               /* /libxl/N/device/KIND/ID/NODE */

/* Where libxl keeps a domain's devices, name and vCPUs; only dom0 writes there, not even the
 * guest. */
static const char *const watched[] = {"/libxl/%u/device", "/local/domain/%u/name",
                                      "/local/domain/%u/cpu"};

static void path_of(char path[64], const char *fmt, uint32_t domid)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(path, 64, fmt, domid);
#pragma GCC diagnostic pop
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Write a line for each node below, "KIND/ID/NODE=VALUE", in order. */
static void list(struct xs_handle *xs, FILE *f, const char *root, const char *below, unsigned depth)
{
    char path[256], next[192], *value, **names;
    unsigned n = 0, len;

    snprintf(path, sizeof(path), "%s%s%s", root, below[0] ? "/" : "", below);
    if (!depth) {
        value = xs_read(xs, XBT_NULL, path, &len);
        fprintf(f, "%s=%s\n", below, value ? value : "");
        free(value);
        return;
    }
    names = xs_directory(xs, XBT_NULL, path, &n);
    if (names)
        qsort(names, n, sizeof(*names), by_name);
    for (unsigned i = 0; names && i < n && ftell(f) < (long)DEVICES_MAX; i++) {
        snprintf(next, sizeof(next), "%s%s%.60s", below, below[0] ? "/" : "", names[i]);
        list(xs, f, root, next, depth - 1);
    }
    free(names);
}

static char *list_devices(const struct xf_changes *c)
{
    char *text = NULL, root[64];
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);

    if (!f)
        return NULL;
    path_of(root, watched[0], c->domid);
    list(c->xs, f, root, "", DEPTH);
    if (fclose(f)) {
        free(text);
        return NULL;
    }
    return text;
}

static bool is_online(const struct xf_changes *c, const char *id)
{
    char path[96], *value;
    unsigned len;
    bool online;

    snprintf(path, sizeof(path), "/local/domain/%u/cpu/%.10s/availability", c->domid, id);
    value = xs_read(c->xs, XBT_NULL, path, &len);
    online = value && !strcmp(value, "online");
    free(value);
    return online;
}

/* Read name and vCPUs. Nodes being written or removed at this moment are seen by the next look. */
static void read_now(const struct xf_changes *c, struct xf_follow *out)
{
    char path[64], *name, **ids;
    unsigned n = 0, len;

    memset(out, 0, sizeof(*out));
    path_of(path, watched[1], c->domid);
    name = xs_read(c->xs, XBT_NULL, path, &len);
    snprintf(out->name, sizeof(out->name), "%s", name ? name : "");
    free(name);
    path_of(path, watched[2], c->domid);
    ids = xs_directory(c->xs, XBT_NULL, path, &n);
    for (unsigned i = 0; ids && i < n; i++) {
        unsigned long id = strtoul(ids[i], NULL, 10);

        if (id >= XF_VCPUS_MAX)
            continue;
        if (id >= out->nr_vcpus)
            out->nr_vcpus = (uint32_t)id + 1;
        if (is_online(c, ids[i]))
            out->vcpus[id / 8] |= (uint8_t)(1u << id % 8);
    }
    free(ids);
}

int xf_changes_begin(struct xf_changes *c, uint32_t domid, struct xf_err *err)
{
    char path[64];

    *c = (struct xf_changes){.domid = domid, .xs = xs_open(0)};
    if (!c->xs)
        return xf_fail(err, errno, "cannot reach xenstore: %s", strerror(errno));
    /* First the watches, then the look, so that a change in between is seen twice rather than
     * missed. */
    for (unsigned i = 0; i < sizeof(watched) / sizeof(watched[0]); i++) {
        path_of(path, watched[i], domid);
        if (xs_watch(c->xs, path, "changes"))
            continue;
        xf_fail(err, errno, "cannot watch %s in xenstore: %s", path, strerror(errno));
        xf_changes_end(c);
        return -1;
    }
    c->devices = list_devices(c);
    if (!c->devices) {
        xf_changes_end(c);
        return xf_fail(err, ENOMEM, "out of memory");
    }
    read_now(c, &c->now);
    return 0;
}

void xf_changes_end(struct xf_changes *c)
{
    if (c->xs)
        xs_close(c->xs);
    free(c->devices);
    *c = (struct xf_changes){0};
}

bool xf_changes_due(struct xf_changes *c)
{
    char **event;

    while (c->xs && (event = xs_check_watch(c->xs))) {
        c->due = true;
        free(event);
    }
    return c->due;
}

/* The first line that only one of them has; NULL: none. Both are in order. */
static const char *first_difference(const char *a, const char *b)
{
    for (;;) {
        size_t len = strcspn(a, "\n");

        if (len != strcspn(b, "\n") || strncmp(a, b, len) || !a[len] || !b[len])
            break;
        a += len + 1;
        b += len + 1;
    }
    if (!*a)
        return *b ? b : NULL;
    return *b && strcmp(b, a) < 0 ? b : a;
}

/* Does the device KIND/ID of the line `like` exist? */
static bool has_device(const char *devices, const char *like, size_t len)
{
    for (const char *at = devices; at && *at; at = strchr(at, '\n'), at += at != NULL)
        if (!strncmp(at, like, len))
            return true;
    return false;
}

static int say_device(const char *before, const char *after, struct xf_err *err)
{
    const char *line = first_difference(before, after), *what;
    size_t kind, id;

    if (!line)
        return 0;
    kind = strcspn(line, "/");
    id = strcspn(line + kind + 1, "/\n");
    if (!has_device(before, line, kind + 1 + id + 1))
        what = "attached to";
    else
        what = has_device(after, line, kind + 1 + id + 1) ? "changed in" : "detached from";
    return xf_fail(err, EBUSY,
                   "a device (%.*s %.*s) was %s the guest while it was moved, and the destination "
                   "still has the devices as they were: move the guest again",
                   (int)kind, line, (int)id, line + kind + 1, what);
}

int xf_changes_look(struct xf_changes *c, bool *changed, struct xf_err *err)
{
    struct xf_follow now;
    char *devices;
    int rc;

    *changed = false;
    c->due = false;
    devices = list_devices(c);
    if (!devices)
        return xf_fail(err, ENOMEM, "out of memory");
    rc = say_device(c->devices, devices, err);
    free(devices);
    if (rc)
        return -1;
    read_now(c, &now);
    /* A domain without a name, or without a vCPU that may run, is being destroyed. */
    if (!now.name[0] || xf_follow_vcpus(&now) == 0)
        return 0;
    *changed = memcmp(&now, &c->now, sizeof(now)) != 0;
    c->now = now;
    return 0;
}
