/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The file that a move leaves for `xl migrate-recover`: see record.h. */
#include "libxl-ext/moves/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <json-c/json.h>

#include "transport/json_in.h"
#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/host/secret.h"
#include "libxl-ext/host/write_file.h"
#include "transport/wire.h"

#define VERSION 2
#define DEPTH 4
#define TEXT_MAX 65536u /* of the file; a rune of control characters grows sixfold in JSON \ */
#define PATH_LEN 300
/* The text begins with HEAD and the digit of the state; next, between the second text and a
 * quotation mark, are the digits of ran_ns. */
#define HEAD "{\"state\":"
#define RAN ",\"ran_ns\":\""
#define RAN_DIGITS 20 /* of UINT64_MAX */
#define RAN_AT (sizeof(HEAD) - 1 + 1 + sizeof(RAN) - 1)

/* --- the text --- */

static void add_text(json_object *o, const char *name, const char *text)
{
    json_object_object_add(o, name, json_object_new_string(text));
}

static void add_number(json_object *o, const char *name, int64_t value)
{
    json_object_object_add(o, name, json_object_new_int64(value));
}

static void add_bool(json_object *o, const char *name, bool value)
{
    json_object_object_add(o, name, json_object_new_boolean(value));
}

static json_object *disk_list(const struct xf_record *r)
{
    json_object *a = json_object_new_array();

    for (unsigned i = 0; i < r->nr_disks; i++) {
        json_object *o = json_object_new_object();

        add_text(o, "vdev", r->disks[i].vdev);
        add_text(o, "source", r->disks[i].source);
        add_text(o, "target", r->disks[i].target);
        json_object_array_add(a, o);
    }
    return a;
}

char *xf_record_format(const struct xf_record *r)
{
    json_object *o = json_object_new_object(), *own = json_object_new_array();
    char ran[RAN_DIGITS + 1], *whole;
    const char *text;

    if (!o || !own) {
        json_object_put(own);
        json_object_put(o);
        return NULL;
    }
    for (unsigned i = 0; i < r->own.n; i++)
        json_object_array_add(own, json_object_new_string(r->own.list[i]));
    add_number(o, "state", r->state); /* first: xf_record_mark() */
    snprintf(ran, sizeof(ran), "%0*" PRIu64, RAN_DIGITS, r->ran_ns);
    add_text(o, "ran_ns", ran); /* second: xf_record_ran() */
    add_number(o, "version", VERSION);
    add_number(o, "domid", r->domid);
    add_text(o, "uuid", r->uuid);
    add_text(o, "boot_id", r->boot_id);
    add_text(o, "name", r->name);
    add_text(o, "host", r->host);
    add_text(o, "rune", r->rune);
    add_text(o, "there", r->there);
    add_number(o, "there_domid", r->there_domid);
    add_text(o, "peer", r->peer);
    add_number(o, "port", r->port);
    add_bool(o, "rdma", r->rdma);
    add_bool(o, "encrypt", r->encrypt);
    add_bool(o, "pull", r->pull);
    add_number(o, "protocol", r->protocol ? r->protocol : XF_WIRE_VERSION);
    add_number(o, "channels", r->channels);
    add_number(o, "rdma_buffer_mib", r->rdma_buffer_mib);
    add_number(o, "rdma_poll_us", r->rdma_poll_us);
    json_object_object_add(o, "own", own);
    if (r->nr_disks) {
        json_object_object_add(o, "disks", disk_list(r));
        add_bool(o, "delete_source", r->delete_source);
        add_bool(o, "all_disks", r->all_disks);
    }
    text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
    whole = text ? xf_secret_format(text, &r->key) : NULL;
    json_object_put(o);
    return whole;
}

static int get_ran(const struct xf_json *j, uint64_t *ns)
{
    char digits[RAN_DIGITS + 1];

    if (xf_json_word(j, "ran_ns", digits, sizeof(digits)))
        return -1;
    errno = 0;
    *ns = strtoull(digits, NULL, 10);
    if (strspn(digits, "0123456789") != RAN_DIGITS || errno)
        return xf_json_bad(j, "ran_ns", "is not a number of 20 digits");
    return 0;
}

static int get_own(const struct xf_json *j, struct xf_own *own)
{
    size_t n;
    json_object *list = xf_json_array(j, "own", XF_OWN_MAX, &n);

    own->n = 0;
    if (!list)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (xf_json_item_word(j, "own", list, i, own->list[own->n++], XF_ADDR_LEN))
            return -1;
    return 0;
}

/* Only of a move with disks. */
static int get_disks(const struct xf_json *j, struct xf_record *r)
{
    json_object *list;
    size_t n;

    if (!xf_json_has(j, "disks"))
        return 0;
    list = xf_json_array(j, "disks", XF_MOVE_DISKS_MAX, &n);
    if (!list || xf_json_bool(j, "delete_source", &r->delete_source) ||
        (xf_json_has(j, "all_disks") && xf_json_bool(j, "all_disks", &r->all_disks)))
        return -1;
    for (size_t i = 0; i < n; i++) {
        struct xf_record_disk *d = &r->disks[i];
        struct xf_json v;

        if (xf_json_item(j, "disks", list, i, &v) ||
            xf_json_word(&v, "vdev", d->vdev, sizeof(d->vdev)) ||
            xf_json_bytes(&v, "source", d->source, sizeof(d->source)) ||
            xf_json_word(&v, "target", d->target, sizeof(d->target)))
            return -1;
        if (d->source[0] != '/')
            return xf_json_bad(&v, "source", "is not an absolute path");
    }
    r->nr_disks = (unsigned)n;
    return 0;
}

/* The members that describe the move and its domain. */
static int read_names(const struct xf_json *j, struct xf_record *r)
{
    if (get_ran(j, &r->ran_ns) || xf_json_word(j, "uuid", r->uuid, sizeof(r->uuid)) ||
        xf_json_word(j, "boot_id", r->boot_id, sizeof(r->boot_id)) ||
        xf_json_word(j, "name", r->name, sizeof(r->name)) ||
        xf_json_bytes(j, "host", r->host, sizeof(r->host)) ||
        xf_json_bytes(j, "rune", r->rune, sizeof(r->rune)) ||
        xf_json_word(j, "there", r->there, sizeof(r->there)) ||
        xf_json_word(j, "peer", r->peer, sizeof(r->peer)))
        return -1;
    if (!r->uuid[0] || !r->name[0] || !r->peer[0])
        return xf_json_bad(j, !r->uuid[0] ? "uuid" : !r->name[0] ? "name" : "peer", "is empty");
    return 0;
}

static int read_fields(const struct xf_json *j, struct xf_record *r)
{
    int64_t version, state, domid, there, port, channels, buffer, poll, protocol = 1;

    if (xf_json_number(j, "version", 0, INT32_MAX, &version))
        return -1;
    if (version != VERSION)
        return xf_fail(j->err, EPROTO,
                       "it was written by another version of Xenferry (%" PRId64 ")", version);
    if (xf_json_number(j, "state", 0, XF_RECORD_STATES - 1, &state) || read_names(j, r) ||
        xf_json_number(j, "domid", 1, 32767, &domid) ||
        xf_json_number(j, "there_domid", 0, 32767, &there) ||
        xf_json_number(j, "port", 1, 65535, &port) || xf_json_bool(j, "rdma", &r->rdma) ||
        xf_json_bool(j, "encrypt", &r->encrypt) || xf_json_bool(j, "pull", &r->pull) ||
        (xf_json_has(j, "protocol") &&
         xf_json_number(j, "protocol", XF_WIRE_OLDEST, XF_WIRE_VERSION, &protocol)) ||
        xf_json_number(j, "channels", 1, XF_CHANNELS_MAX, &channels) ||
        xf_json_number(j, "rdma_buffer_mib", 0, XF_RDMA_BUFFER_MIB_MAX, &buffer) ||
        xf_json_number(j, "rdma_poll_us", 0, 1000000, &poll) || get_own(j, &r->own) ||
        get_disks(j, r))
        return -1;
    r->state = (enum xf_record_state)state;
    r->domid = (uint32_t)domid;
    r->there_domid = (uint32_t)there;
    r->port = (uint16_t)port;
    r->protocol = (unsigned)protocol;
    r->channels = (unsigned)channels;
    r->rdma_buffer_mib = (unsigned)buffer;
    r->rdma_poll_us = (unsigned)poll;
    return 0;
}

int xf_record_parse(const char *text, size_t len, struct xf_record *r, struct xf_err *err)
{
    struct xf_err no_key = {0};
    struct xf_json j;
    char *rest;
    int rc;

    memset(r, 0, sizeof(*r));
    if (len < sizeof(HEAD) || len > TEXT_MAX || memcmp(text, HEAD, sizeof(HEAD) - 1))
        return xf_fail(err, EPROTO, "its beginning is invalid");
    rest = xf_secret_take(text, len, &r->key, &no_key);
    if (!rest)
        return xf_fail(err, ENOMEM, "out of memory");
    rc = xf_json_open(&j, rest, len, DEPTH, "it", err) || read_fields(&j, r) ? -1 : 0;
    xf_json_close(&j);
    free(rest);
    if (!rc && no_key.num)
        rc = xf_fail(err, EPROTO, "%s", no_key.text);
    if (rc)
        explicit_bzero(r, sizeof(*r));
    return rc;
}

/* --- the files --- */

/* Does this name still denote the open file? */
static bool is_named(int at, const char *name, int fd)
{
    struct stat ours, there;

    return !fstat(fd, &ours) && !fstatat(at, name, &there, AT_SYMLINK_NOFOLLOW) &&
           ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

/* VANISHED: the previous holder removed the file in between (xf_record_unlock()), so the lock is
 * worthless. -1: see errno. */
enum { LOCKED, VANISHED };
static int try_lock(int at, const char *name, int *fd)
{
    int rc, why;

    *fd = openat(at, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (*fd < 0)
        return -1;
    rc = flock(*fd, LOCK_EX | LOCK_NB);
    why = errno;
    if (!rc && is_named(at, name, *fd))
        return LOCKED;
    close(*fd);
    *fd = -1;
    errno = why;
    return rc ? -1 : VANISHED;
}

int xf_record_lock(const char *dir, uint32_t domid, int *fd, struct xf_err *err)
{
    char name[32];
    int at = xf_run_dir_open(dir, true, err), rc;

    *fd = -1;
    if (at < 0)
        return -1;
    snprintf(name, sizeof(name), "%u.lock", domid);
    do
        rc = try_lock(at, name, fd);
    while (rc == VANISHED);
    if (rc && errno == EWOULDBLOCK)
        xf_fail(err, EBUSY,
                "domain %u is being migrated already; wait for that to end (`xl migrate-status` "
                "shows how far it is)",
                domid);
    else if (rc)
        xf_fail(err, errno, "cannot lock %s/%s: %s", dir, name, strerror(errno));
    close(at);
    return rc;
}

bool xf_record_is_locked(const char *dir, uint32_t domid)
{
    char line[256], name[32], wanted[64];
    int at = xf_run_dir_open(dir, false, NULL);
    struct stat st;
    bool found = false;
    FILE *f;

    snprintf(name, sizeof(name), "%u.lock", domid);
    if (at < 0)
        return false;
    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW)) {
        close(at);
        return false;
    }
    close(at);
    /* "1: FLOCK  ADVISORY  WRITE 1234 08:02:5678 0 EOF" */
    snprintf(wanted, sizeof(wanted), " %02x:%02x:%ju ", major(st.st_dev), minor(st.st_dev),
             (uintmax_t)st.st_ino);
    f = fopen("/proc/locks", "re");
    while (f && !found && fgets(line, sizeof(line), f))
        found = strstr(line, " FLOCK ") && !strstr(line, " -> ") && strstr(line, wanted);
    if (f)
        fclose(f);
    return found;
}

void xf_record_unlock(const char *dir, uint32_t domid, int fd)
{
    char name[32];
    int at;

    if (fd < 0)
        return;
    at = xf_run_dir_open(dir, false, NULL);
    snprintf(name, sizeof(name), "%u.lock", domid);
    /* Only while the name is still ours, so as not to remove the next holder's file. */
    if (at >= 0 && is_named(at, name, fd))
        unlinkat(at, name, 0);
    if (at >= 0)
        close(at);
    close(fd);
}

int xf_record_write(const char *dir, const struct xf_record *r, int *fd, struct xf_err *err)
{
    char name[32], *text = xf_record_format(r);
    int at, rc = -1;

    *fd = -1;
    if (!text)
        return xf_fail(err, ENOMEM, "out of memory");
    at = xf_run_dir_open(dir, true, err);
    if (at < 0)
        goto out;
    snprintf(name, sizeof(name), "%u.move", r->domid);
    *fd = xf_write_file(at, name, text);
    rc = *fd < 0 ? -1 : 0;
    if (rc)
        xf_fail(err, errno,
                "cannot write %s/%s, without which nobody could finish this move if its "
                "process died: %s",
                dir, name, strerror(errno));
    close(at);
out:
    xf_secret_free(text, strlen(text));
    return rc;
}

static int replace(int fd, const char *text, size_t len, size_t at, struct xf_err *err)
{
    ssize_t n;

    do
        n = pwrite(fd, text, len, (off_t)at);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)len
               ? 0
               : xf_fail(err, n < 0 ? errno : EIO, "cannot record the move's progress in %s: %s",
                         xf_run_dir(), strerror(n < 0 ? errno : EIO));
}

int xf_record_mark(int fd, enum xf_record_state state, struct xf_err *err)
{
    char digit = (char)('0' + state);

    return replace(fd, &digit, 1, sizeof(HEAD) - 1, err);
}

int xf_record_ran(int fd, uint64_t ns, struct xf_err *err)
{
    char ran[RAN_DIGITS + 1];

    snprintf(ran, sizeof(ran), "%0*" PRIu64, RAN_DIGITS, ns);
    return replace(fd, ran, RAN_DIGITS, RAN_AT, err);
}

/* The whole file, at most TEXT_MAX bytes. */
static char *slurp(int fd, size_t *len, struct xf_err *err)
{
    char *text = malloc(TEXT_MAX + 1);
    ssize_t n = 1;

    *len = 0;
    if (!text) {
        xf_fail(err, ENOMEM, "out of memory");
        return NULL;
    }
    while (n && *len <= TEXT_MAX) {
        n = read(fd, text + *len, TEXT_MAX + 1 - *len);
        if (n < 0 && errno != EINTR) {
            xf_fail(err, errno, "it cannot be read: %s", strerror(errno));
            xf_secret_free(text, *len);
            return NULL;
        }
        *len += n > 0 ? (size_t)n : 0;
    }
    return text;
}

int xf_record_read(const char *dir, uint32_t domid, struct xf_record *r, int *fd,
                   struct xf_err *err)
{
    char name[32], path[PATH_LEN], *text = NULL;
    int at = xf_run_dir_open(dir, false, err), rc = -1;
    size_t len = 0;

    *fd = -1;
    if (at < 0)
        return -1;
    snprintf(name, sizeof(name), "%u.move", domid);
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    /* NONBLOCK: a fifo in its place is refused, not waited for. */
    *fd = openat(at, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (*fd < 0)
        xf_fail(err, errno, "cannot open %s: %s", path, strerror(errno));
    else if (!xf_run_file_judge(*fd, path, err) && (text = slurp(*fd, &len, err)))
        rc = xf_record_parse(text, len, r, err);
    if (rc && err && err->num != EPERM && *fd >= 0)
        xf_wrap(err, "%s cannot be used", path);
    if (!rc && r->domid != domid)
        rc = xf_fail(err, EPROTO, "%s belongs to domain %u", path, r->domid);
    if (rc && *fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    xf_secret_free(text, len);
    close(at);
    return rc;
}

void xf_record_remove(const char *dir, uint32_t domid)
{
    char name[32];
    int at = xf_run_dir_open(dir, false, NULL);

    if (at < 0)
        return;
    snprintf(name, sizeof(name), "%u.move", domid);
    unlinkat(at, name, 0);
    close(at);
}
