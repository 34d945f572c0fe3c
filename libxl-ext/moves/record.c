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
#include <unistd.h>

#include <json-c/json.h>

#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/host/secret.h"
#include "transport/text.h"

#define VERSION 2
#define TEXT_MAX 65536u /* of the file; a rune of control characters grows sixfold in JSON */
#define PATH_LEN 300
/* The text begins so, and then comes the digit of the state; and after that, between these words
 * and a quotation mark, the digits of ran_ns. */
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
    add_number(o, "channels", r->channels);
    add_number(o, "rdma_buffer_mib", r->rdma_buffer_mib);
    add_number(o, "rdma_poll_us", r->rdma_poll_us);
    json_object_object_add(o, "own", own);
    text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
    whole = text ? xf_secret_format(text, &r->key) : NULL;
    json_object_put(o);
    return whole;
}

static int damaged(const char *name, struct xf_err *err)
{
    return xf_fail(err, EPROTO, "its field \"%s\" is missing or wrong", name);
}

static json_object *field(json_object *o, const char *name, enum json_type type)
{
    json_object *v = NULL;

    json_object_object_get_ex(o, name, &v);
    return json_object_is_type(v, type) ? v : NULL;
}

/* A string of less than size bytes; `plain`: a clean one (transport/text.h). */
static int copy_text(json_object *v, const char *name, bool plain, char *out, size_t size,
                     struct xf_err *err)
{
    size_t len = v ? (size_t)json_object_get_string_len(v) : size;

    if (len >= size || strlen(json_object_get_string(v)) != len)
        return damaged(name, err);
    memcpy(out, json_object_get_string(v), len + 1);
    return plain && !xf_text_is_clean(out, len) ? damaged(name, err) : 0;
}

static int get_text(json_object *o, const char *name, bool plain, char *out, size_t size,
                    struct xf_err *err)
{
    return copy_text(field(o, name, json_type_string), name, plain, out, size, err);
}

static int get_number(json_object *o, const char *name, int64_t min, int64_t max, int64_t *out,
                      struct xf_err *err)
{
    json_object *v = field(o, name, json_type_int);

    *out = v ? json_object_get_int64(v) : 0;
    return v && *out >= min && *out <= max ? 0 : damaged(name, err);
}

static int get_bool(json_object *o, const char *name, bool *out, struct xf_err *err)
{
    json_object *v = field(o, name, json_type_boolean);

    *out = v && json_object_get_boolean(v);
    return v ? 0 : damaged(name, err);
}

static int get_ran(json_object *o, uint64_t *ns, struct xf_err *err)
{
    char digits[RAN_DIGITS + 1];

    if (get_text(o, "ran_ns", true, digits, sizeof(digits), err))
        return -1;
    if (strspn(digits, "0123456789") != RAN_DIGITS)
        return damaged("ran_ns", err);
    errno = 0;
    *ns = strtoull(digits, NULL, 10);
    return errno ? damaged("ran_ns", err) : 0;
}

static int get_own(json_object *o, struct xf_own *own, struct xf_err *err)
{
    json_object *list = field(o, "own", json_type_array);

    own->n = 0;
    if (!list || json_object_array_length(list) > XF_OWN_MAX)
        return damaged("own", err);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *v = json_object_array_get_idx(list, i);

        if (copy_text(json_object_is_type(v, json_type_string) ? v : NULL, "own", true,
                      own->list[own->n++], XF_ADDR_LEN, err))
            return -1;
    }
    return 0;
}

static int read_fields(json_object *o, struct xf_record *r, struct xf_err *err)
{
    int64_t version, state, domid, there, port, channels, buffer, poll;

    if (get_number(o, "version", 0, INT32_MAX, &version, err))
        return -1;
    if (version != VERSION)
        return xf_fail(err, EPROTO, "it is of another version of Xenferry (%" PRId64 ")", version);
    if (get_number(o, "state", 0, XF_RECORD_STATES - 1, &state, err) ||
        get_ran(o, &r->ran_ns, err) || get_number(o, "domid", 1, 32767, &domid, err) ||
        get_text(o, "uuid", true, r->uuid, sizeof(r->uuid), err) ||
        get_text(o, "boot_id", true, r->boot_id, sizeof(r->boot_id), err) ||
        get_text(o, "name", true, r->name, sizeof(r->name), err) ||
        get_text(o, "host", false, r->host, sizeof(r->host), err) ||
        get_text(o, "rune", false, r->rune, sizeof(r->rune), err) ||
        get_text(o, "there", true, r->there, sizeof(r->there), err) ||
        get_number(o, "there_domid", 0, 32767, &there, err) ||
        get_text(o, "peer", true, r->peer, sizeof(r->peer), err) ||
        get_number(o, "port", 1, 65535, &port, err) || get_bool(o, "rdma", &r->rdma, err) ||
        get_bool(o, "encrypt", &r->encrypt, err) || get_bool(o, "pull", &r->pull, err) ||
        get_number(o, "channels", 1, XF_CHANNELS_MAX, &channels, err) ||
        get_number(o, "rdma_buffer_mib", 0, XF_RDMA_BUFFER_MIB_MAX, &buffer, err) ||
        get_number(o, "rdma_poll_us", 0, 1000000, &poll, err) || get_own(o, &r->own, err))
        return -1;
    if (!r->uuid[0] || !r->name[0] || !r->peer[0])
        return damaged(!r->uuid[0] ? "uuid" : !r->name[0] ? "name" : "peer", err);
    r->state = (enum xf_record_state)state;
    r->domid = (uint32_t)domid;
    r->there_domid = (uint32_t)there;
    r->port = (uint16_t)port;
    r->channels = (unsigned)channels;
    r->rdma_buffer_mib = (unsigned)buffer;
    r->rdma_poll_us = (unsigned)poll;
    return 0;
}

/* `rest` is the text without its key. */
static int parse_rest(const char *rest, size_t len, struct xf_record *r, struct xf_err *err)
{
    json_tokener *t = json_tokener_new_ex(4);
    json_object *o;
    int rc = -1;

    if (!t)
        return xf_fail(err, ENOMEM, "out of memory");
    json_tokener_set_flags(t, JSON_TOKENER_STRICT);
    o = json_tokener_parse_ex(t, rest, (int)len);
    if (json_tokener_get_error(t) != json_tokener_success ||
        !json_object_is_type(o, json_type_object) || json_tokener_get_parse_end(t) != len)
        xf_fail(err, EPROTO, "it is cut off, or is no JSON object");
    else
        rc = read_fields(o, r, err);
    json_object_put(o);
    json_tokener_free(t);
    return rc;
}

int xf_record_parse(const char *text, size_t len, struct xf_record *r, struct xf_err *err)
{
    struct xf_err no_key = {0};
    char *rest;
    int rc;

    memset(r, 0, sizeof(*r));
    if (len < sizeof(HEAD) || len > TEXT_MAX || memcmp(text, HEAD, sizeof(HEAD) - 1))
        return xf_fail(err, EPROTO, "it does not begin as it should");
    rest = xf_secret_take(text, len, &r->key, &no_key);
    if (!rest)
        return xf_fail(err, ENOMEM, "out of memory");
    rc = parse_rest(rest, len, r, err);
    free(rest);
    if (!rc && no_key.num)
        rc = xf_fail(err, EPROTO, "%s", no_key.text);
    if (rc)
        explicit_bzero(r, sizeof(*r));
    return rc;
}

/* --- the files --- */

/* Is the open file the one of this name? */
static bool is_named(int at, const char *name, int fd)
{
    struct stat ours, there;

    return !fstat(fd, &ours) && !fstatat(at, name, &there, AT_SYMLINK_NOFOLLOW) &&
           ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

/* VANISHED: who had the lock has taken the file away in between (xf_record_unlock()), so that what
 * was locked is nothing. -1: errno says why. */
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
                "domain %u is being migrated already; wait for its end "
                "(`xl migrate-status` shows how far it is)",
                domid);
    else if (rc)
        xf_fail(err, errno, "cannot lock %s/%s: %s", dir, name, strerror(errno));
    close(at);
    return rc;
}

void xf_record_unlock(const char *dir, uint32_t domid, int fd)
{
    char name[32];
    int at;

    if (fd < 0)
        return;
    at = xf_run_dir_open(dir, false, NULL);
    snprintf(name, sizeof(name), "%u.lock", domid);
    /* While it is still ours: the name of the next one's file is not taken away. */
    if (at >= 0 && is_named(at, name, fd))
        unlinkat(at, name, 0);
    if (at >= 0)
        close(at);
    close(fd);
}

static int write_all(int fd, const char *text, size_t len)
{
    while (len) {
        ssize_t n = write(fd, text, len);

        if (n == 0)
            errno = EIO;
        if (n == 0 || (n < 0 && errno != EINTR))
            return -1;
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

int xf_record_write(const char *dir, const struct xf_record *r, int *fd, struct xf_err *err)
{
    char name[32], fresh[32], *text = xf_record_format(r);
    int at, rc = -1;

    *fd = -1;
    if (!text)
        return xf_fail(err, ENOMEM, "out of memory");
    at = xf_run_dir_open(dir, true, err);
    if (at < 0)
        goto out;
    snprintf(name, sizeof(name), "%u.move", r->domid);
    snprintf(fresh, sizeof(fresh), "%u.move.new", r->domid);
    unlinkat(at, fresh, 0); /* of one that died here; we have the lock */
    *fd = openat(at, fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (*fd < 0 || fchmod(*fd, 0600) || write_all(*fd, text, strlen(text)) ||
        renameat(at, fresh, at, name)) {
        xf_fail(err, errno,
                "cannot write %s/%s, without which nobody could finish this move if its "
                "process died: %s",
                dir, name, strerror(errno));
        if (*fd >= 0)
            close(*fd);
        *fd = -1;
        unlinkat(at, fresh, 0);
    } else {
        rc = 0;
    }
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
    return n == (ssize_t)len ? 0
                             : xf_fail(err, n < 0 ? errno : EIO,
                                       "cannot note in %s how far the move has come: %s",
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

/* All of it, at most TEXT_MAX bytes. */
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
    /* NONBLOCK: a fifo in its place shall be refused, not waited for. */
    *fd = openat(at, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (*fd < 0)
        xf_fail(err, errno, "cannot open %s: %s", path, strerror(errno));
    else if (!xf_run_file_judge(*fd, path, err) && (text = slurp(*fd, &len, err)))
        rc = xf_record_parse(text, len, r, err);
    if (rc && err && err->num != EPERM && *fd >= 0)
        xf_wrap(err, "%s cannot be used", path);
    if (!rc && r->domid != domid)
        rc = xf_fail(err, EPROTO, "%s is that of domain %u", path, r->domid);
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
