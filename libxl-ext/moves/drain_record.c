/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The file that a drain keeps in the run directory: see drain_record.h. */
#include "libxl-ext/moves/drain_record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <json-c/json.h>

#include "transport/json_in.h"
#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/host/write_file.h"
#include "libxl-ext/peer/bootstrap.h"
#include "transport/text.h"

#define VERSION 1
#define DEPTH 4
/* Of the file: every entry full, and in JSON each byte sixfold. */
#define TEXT_MAX (4u << 20)
#define NAME "drain"
#define LOCK "drain.lock"

int xf_drain_record_init(struct xf_drain_record *r, struct xf_err *err)
{
    memset(r, 0, sizeof(*r));
    r->guest = calloc(XF_DRAIN_GUESTS_MAX, sizeof(*r->guest));
    if (!r->guest)
        return xf_fail(err, ENOMEM, "out of memory");
    xf_boot_id(r->boot_id);
    return 0;
}

void xf_drain_record_free(struct xf_drain_record *r)
{
    free(r->guest);
    r->guest = NULL;
    r->nr = 0;
}

/* --- its guests --- */

struct xf_drain_left *xf_drain_record_find(struct xf_drain_record *r, const char *uuid)
{
    for (unsigned i = 0; i < r->nr; i++)
        if (!strcmp(r->guest[i].uuid, uuid))
            return &r->guest[i];
    return NULL;
}

int xf_drain_record_put(struct xf_drain_record *r, const struct xf_drain_left *x,
                        struct xf_err *err)
{
    struct xf_drain_left *at = xf_drain_record_find(r, x->uuid);

    if (!at && r->nr == XF_DRAIN_GUESTS_MAX)
        return xf_fail(err, ENOSPC,
                       "the record of this drain holds %u guests and no more; `xl migrate-drain "
                       "--end` forgets them",
                       XF_DRAIN_GUESTS_MAX);
    if (!at)
        at = &r->guest[r->nr++];
    *at = *x;
    return 0;
}

void xf_drain_record_drop(struct xf_drain_record *r, const char *uuid)
{
    struct xf_drain_left *at = xf_drain_record_find(r, uuid);

    if (at)
        memmove(at, at + 1, (size_t)(&r->guest[--r->nr] - at) * sizeof(*at));
}

/* --- the text --- */

static void add_text(json_object *o, const char *name, const char *text)
{
    json_object_object_add(o, name, json_object_new_string(text));
}

char *xf_drain_record_format(const struct xf_drain_record *r)
{
    json_object *o = json_object_new_object(), *hosts = json_object_new_array(),
                *guests = json_object_new_array();
    const char *text;
    char *whole;

    json_object_object_add(o, "version", json_object_new_int(VERSION));
    add_text(o, "boot_id", r->boot_id);
    json_object_object_add(o, "draining", json_object_new_boolean(r->draining));
    if (r->has_ssh)
        add_text(o, "ssh", r->ssh);
    for (unsigned i = 0; i < r->nr_hosts; i++)
        json_object_array_add(hosts, json_object_new_string(r->host[i]));
    json_object_object_add(o, "hosts", hosts);
    for (unsigned i = 0; i < r->nr; i++) {
        json_object *g = json_object_new_object();

        add_text(g, "name", r->guest[i].name);
        add_text(g, "uuid", r->guest[i].uuid);
        add_text(g, "host", r->guest[i].host);
        json_object_object_add(g, "left", json_object_new_boolean(r->guest[i].left));
        json_object_array_add(guests, g);
    }
    json_object_object_add(o, "guests", guests);
    text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
    whole = text ? strdup(text) : NULL;
    json_object_put(o);
    return whole;
}

static int read_hosts(const struct xf_json *j, struct xf_drain_record *r)
{
    size_t n;
    json_object *list = xf_json_array(j, "hosts", XF_DRAIN_DESTINATIONS_MAX, &n);

    if (!list)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (xf_json_item_word(j, "hosts", list, i, r->host[i], sizeof(r->host[i])))
            return -1;
    r->nr_hosts = (unsigned)n;
    return 0;
}

static int read_guest(const struct xf_json *j, struct xf_drain_record *r)
{
    struct xf_drain_left *x = &r->guest[r->nr];

    if (xf_json_word(j, "name", x->name, sizeof(x->name)) ||
        xf_json_word(j, "uuid", x->uuid, sizeof(x->uuid)) ||
        xf_json_word(j, "host", x->host, sizeof(x->host)) || xf_json_bool(j, "left", &x->left))
        return -1;
    if (!x->name[0] || !x->host[0])
        return xf_json_bad(j, x->name[0] ? "host" : "name", "is empty");
    if (!x->uuid[0] || xf_drain_record_find(r, x->uuid))
        return xf_json_bad(j, "uuid", "is empty or not the only one");
    r->nr++;
    return 0;
}

static int read_guests(const struct xf_json *j, struct xf_drain_record *r)
{
    size_t n;
    json_object *list = xf_json_array(j, "guests", XF_DRAIN_GUESTS_MAX, &n);
    struct xf_json item;

    if (!list)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (xf_json_item(j, "guests", list, i, &item) || read_guest(&item, r))
            return -1;
    return 0;
}

static int read_fields(const struct xf_json *j, struct xf_drain_record *r)
{
    int64_t version;

    if (xf_json_number(j, "version", 0, INT32_MAX, &version))
        return -1;
    if (version != VERSION)
        return xf_fail(j->err, EPROTO,
                       "it was written by another version of Xenferry (%" PRId64 ")", version);
    r->has_ssh = xf_json_has(j, "ssh");
    if (xf_json_word(j, "boot_id", r->boot_id, sizeof(r->boot_id)) ||
        xf_json_bool(j, "draining", &r->draining) ||
        (r->has_ssh && xf_json_word(j, "ssh", r->ssh, sizeof(r->ssh))))
        return -1;
    return read_hosts(j, r) || read_guests(j, r) ? -1 : 0;
}

int xf_drain_record_parse(const char *text, size_t len, struct xf_drain_record *r,
                          struct xf_err *err)
{
    struct xf_json j;
    int rc;

    if (xf_drain_record_init(r, err))
        return -1;
    if (len > TEXT_MAX)
        return xf_fail(err, EPROTO, "it is too long");
    rc = xf_json_open(&j, text, len, DEPTH, "it", err) || read_fields(&j, r) ? -1 : 0;
    xf_json_close(&j);
    return rc;
}

/* --- the files --- */

int xf_drain_record_write(const char *dir, const struct xf_drain_record *r, struct xf_err *err)
{
    char *text = xf_drain_record_format(r);
    int at, fd, rc = -1;

    if (!text)
        return xf_fail(err, ENOMEM, "out of memory");
    at = xf_run_dir_open(dir, true, err);
    if (at >= 0) {
        fd = xf_write_file(at, NAME, text);
        rc = fd < 0 ? -1 : 0;
        if (rc)
            xf_fail(err, errno, "cannot write %s/%s, the record of the drain: %s", dir, NAME,
                    strerror(errno));
        else
            close(fd);
        close(at);
    }
    free(text);
    return rc;
}

static char *slurp(int fd, size_t *len, struct xf_err *err)
{
    char *text = malloc(TEXT_MAX + 1);
    ssize_t n = 1;

    *len = 0;
    if (!text)
        xf_fail(err, ENOMEM, "out of memory");
    while (text && n && *len <= TEXT_MAX) {
        n = read(fd, text + *len, TEXT_MAX + 1 - *len);
        if (n < 0 && errno != EINTR) {
            xf_fail(err, errno, "it cannot be read: %s", strerror(errno));
            free(text);
            return NULL;
        }
        *len += n > 0 ? (size_t)n : 0;
    }
    return text;
}

static int read_open(int fd, const char *path, struct xf_drain_record *r, struct xf_err *err)
{
    char now[XF_BOOT_ID], *text = NULL;
    size_t len;
    int rc = -1;

    if (!xf_run_file_judge(fd, path, err) && (text = slurp(fd, &len, err)))
        rc = xf_drain_record_parse(text, len, r, err);
    free(text);
    if (rc && err && err->num != EPERM)
        return xf_wrap(err, "%s cannot be used", path);
    xf_boot_id(now);
    if (!rc && strcmp(now, r->boot_id) != 0)
        return xf_fail(err, ENOENT, "%s is of an earlier boot of this host", path);
    return rc;
}

int xf_drain_record_read(const char *dir, struct xf_drain_record *r, struct xf_err *err)
{
    struct xf_err own = {0};
    char path[300];
    int at, fd, rc;

    memset(r, 0, sizeof(*r));
    if (!err)
        err = &own;
    at = xf_run_dir_open(dir, false, err);
    if (at < 0)
        return -1;
    snprintf(path, sizeof(path), "%s/%s", dir, NAME);
    /* NONBLOCK: a fifo in its place is refused, not waited for. */
    fd = openat(at, NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        rc = xf_fail(err, errno, "cannot open %s: %s", path, strerror(errno));
    else
        rc = read_open(fd, path, r, err);
    if (fd >= 0)
        close(fd);
    close(at);
    return rc;
}

int xf_drain_record_remove(const char *dir, struct xf_err *err)
{
    int at = xf_run_dir_open(dir, false, NULL), rc;

    if (at < 0)
        return 0;
    rc = unlinkat(at, NAME, 0) ? -1 : 1;
    if (rc < 0 && errno == ENOENT)
        rc = 0;
    if (rc < 0)
        xf_fail(err, errno, "cannot remove %s/%s: %s", dir, NAME, strerror(errno));
    close(at);
    return rc;
}

bool xf_drain_refuses(const char *dir, char *why, size_t size)
{
    struct xf_drain_record r;
    struct xf_err err = {0};
    bool refuses;

    if (xf_drain_record_read(dir, &r, &err)) {
        refuses = err.num != ENOENT;
        snprintf(
            why, size,
            "this host may be being drained, but the record of that is of no use (%.200s); run "
            "`xl migrate-drain --end` there",
            err.text);
    } else {
        refuses = r.draining;
        snprintf(why, size,
                 "the host is being drained and takes no guests; choose another one, or run `xl "
                 "migrate-drain --undo` there, or --end to leave away what has left");
    }
    xf_drain_record_free(&r);
    return refuses;
}

int xf_drain_lock(const char *dir, int *fd, struct xf_err *err)
{
    int at = xf_run_dir_open(dir, true, err), why;

    *fd = -1;
    if (at < 0)
        return -1;
    *fd = openat(at, LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    why = errno;
    close(at);
    if (*fd < 0)
        return xf_fail(err, why, "cannot open %s/%s: %s", dir, LOCK, strerror(why));
    if (!flock(*fd, LOCK_EX | LOCK_NB))
        return 0;
    why = errno;
    close(*fd);
    *fd = -1;
    if (why == EWOULDBLOCK)
        return xf_fail(err, EBUSY,
                       "another xl migrate-drain is at work on this host; wait for its end, or "
                       "interrupt it (Ctrl-C)");
    return xf_fail(err, why, "cannot lock %s/%s: %s", dir, LOCK, strerror(why));
}
