/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A connection to a device model's monitor: see qmp.h. */
#include "qmp/qmp.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "transport/clock.h"
#include "transport/text.h"

#define SLICE_MS 100
#define DEPTH 32         /* an event may be nested deeper than our answers are */
#define WORDS 320        /* of QEMU, in an error */
#define EVENT 64         /* size of an event's name */
#define CLASS 64         /* size of an error's class */
#define REFUSED XF_AGAIN /* of take_reply(): the connection stays open */

static const char what[] = "a message of the device model";

_Static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) == XF_QMP_PATH, "a socket's path");

void xf_qmp_path(uint32_t domid, char out[XF_QMP_PATH])
{
    snprintf(out, XF_QMP_PATH, "/var/run/xen/qmp-libxenstat-%u", domid);
}

void xf_qmp_close(struct xf_qmp *q)
{
    if (q->fd >= 0)
        close(q->fd);
    free(q->in);
    q->fd = -1;
    q->in = NULL;
}

/* --- waiting --- */

static void begin_call(struct xf_qmp *q)
{
    int64_t now = xf_now_ms();

    q->until = now + q->limit_ms;
    q->next_tick = now + SLICE_MS;
}

static int timed_out(const struct xf_qmp *q, struct xf_err *err)
{
    if (!q->greeted)
        return xf_fail(err, ETIMEDOUT,
                       "the device model of domain %u has not greeted within %d ms; is another "
                       "program connected to its monitor, such as xentop?",
                       q->domid, q->limit_ms);
    return xf_fail(err, ETIMEDOUT, "the device model of domain %u has not answered within %d ms",
                   q->domid, q->limit_ms);
}

static int ended(const struct xf_qmp *q, struct xf_err *err)
{
    return xf_fail(err, ECONNRESET, "the device model of domain %u has ended", q->domid);
}

static int tick_if_due(struct xf_qmp *q, struct xf_err *err)
{
    if (xf_now_ms() < q->next_tick)
        return 0;
    if (xf_tick(q->tick, err))
        return -1;
    q->next_tick = xf_now_ms() + SLICE_MS;
    return 0;
}

/* Wait until there is something to receive. What has arrived is found even if it is late by now. */
static int await_input(struct xf_qmp *q, struct xf_err *err)
{
    for (;;) {
        struct pollfd pf = {.fd = q->fd, .events = POLLIN};
        int left;

        if (tick_if_due(q, err))
            return -1;
        left = xf_ms_left(q->until);
        if (poll(&pf, 1, left < SLICE_MS ? left : SLICE_MS) > 0)
            return 0;
        if (!left)
            return timed_out(q, err);
    }
}

/* --- messages --- */

static int receive(struct xf_qmp *q, struct xf_err *err)
{
    ssize_t n;

    if (q->at) {
        memmove(q->in, q->in + q->at, q->end - q->at);
        q->end -= q->at;
        q->at = 0;
    }
    if (q->end == XF_QMP_LINE)
        return xf_fail(err, EPROTO, "%s of domain %u is longer than %u KiB", what, q->domid,
                       XF_QMP_LINE >> 10);
    do {
        if (await_input(q, err))
            return -1;
        n = recv(q->fd, q->in + q->end, XF_QMP_LINE - q->end, MSG_DONTWAIT);
    } while (n < 0 && (errno == EAGAIN || errno == EINTR));
    if (n <= 0)
        return ended(q, err);
    q->end += (size_t)n;
    return 0;
}

/* The next line that has been received, without its newline; NULL: none is complete. Valid until
 * the next receive(). */
static const char *next_line(struct xf_qmp *q, size_t *len)
{
    const char *line = q->in + q->at;
    const char *end = memchr(line, '\n', q->end - q->at);

    if (!end)
        return NULL;
    *len = (size_t)(end - line);
    q->at += *len + 1;
    return line;
}

static int note_event(struct xf_qmp *q, const struct xf_json *j)
{
    static const char *const names[] = {"RESUME", "STOP", "SHUTDOWN"};
    char name[EVENT];

    if (xf_json_word(j, "event", name, sizeof(name)))
        return -1;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!strcmp(name, names[i]))
            q->seen |= 1u << i;
    return 0;
}

/* QEMU has begun with the command when its client hung up, and answers the next client. */
static bool is_late(const struct xf_qmp *q, const struct xf_json *j)
{
    struct xf_json any = {.o = j->o, .what = what};
    int64_t id;

    return xf_json_has(j, "id") && !xf_json_number(&any, "id", 0, UINT32_MAX, &id) &&
           id < q->id + !q->greeted;
}

/* Wait for a message that is neither an event nor late. *j is to be closed, also after an error. */
static int next_message(struct xf_qmp *q, struct xf_json *j, struct xf_err *err)
{
    *j = (struct xf_json){0};
    for (bool heard = false;; heard = true) {
        const char *line;
        size_t len;

        while ((line = next_line(q, &len))) {
            if (xf_json_open(j, line, len, DEPTH, what, err))
                return -1;
            if (!xf_json_has(j, "event") && !is_late(q, j))
                return 0;
            if (xf_json_has(j, "event") && note_event(q, j))
                return -1;
            xf_json_close(j);
        }
        /* Events without end are no answer. */
        if (heard && !xf_ms_left(q->until))
            return timed_out(q, err);
        if (receive(q, err))
            return -1;
    }
}

/* --- commands --- */

/* The socket's buffer has room unless QEMU has not read the commands it answered. */
static int send_command(struct xf_qmp *q, const char *command, json_object *arguments,
                        struct xf_err *err)
{
    json_object *o = json_object_new_object();
    const char *text;
    char *line = NULL;
    ssize_t len, n = -1;

    json_object_object_add(o, "execute", json_object_new_string(command));
    if (arguments)
        json_object_object_add(o, "arguments", arguments);
    json_object_object_add(o, "id", json_object_new_int64(++q->id));
    text =
        json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    len = text ? asprintf(&line, "%s\n", text) : -1;
    json_object_put(o);
    if (len < 0)
        return xf_fail(err, ENOMEM, "out of memory");
    do
        n = send(q->fd, line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    free(line);
    if (n == len)
        return 0;
    return n < 0 && errno != EAGAIN
               ? ended(q, err)
               : xf_fail(err, EPROTO, "the device model of domain %u does not read its commands",
                         q->domid);
}

/* 0: *out is what QEMU returned, or the message that holds a list; REFUSED: it refused; -1: the
 * message is invalid. */
static int take_reply(struct xf_qmp *q, const char *command, const struct xf_json *j, bool list,
                      struct xf_json *out)
{
    char words[WORDS], class[CLASS];
    struct xf_json inner;
    const char *desc;
    int64_t id;
    size_t len;

    if (xf_json_number(j, "id", 0, UINT32_MAX, &id))
        return -1;
    if (id != q->id)
        return xf_json_bad(j, "id", "is not that of the command");
    if (!xf_json_has(j, "error")) {
        if (!list && xf_json_object(j, "return", &inner))
            return -1;
        *out = list ? *j : inner;
        json_object_get(out->o);
        return 0;
    }
    if (xf_json_object(j, "error", &inner) ||
        !(desc = xf_json_string(&inner, "desc", XF_QMP_LINE, &len)) ||
        xf_json_word(&inner, "class", class, sizeof(class)))
        return -1;
    q->unknown = !strcmp(class, "CommandNotFound");
    xf_text_copy(words, sizeof(words), desc, len);
    xf_fail(j->err, EREMOTEIO, "the device model of domain %u refuses %s: %s", q->domid, command,
            words);
    return REFUSED;
}

static int call(struct xf_qmp *q, const char *command, json_object *arguments, bool list,
                struct xf_json *out, struct xf_err *err)
{
    struct xf_json j = {0};
    int rc;

    *out = (struct xf_json){0};
    if (q->fd < 0) {
        json_object_put(arguments);
        return xf_fail(err, ENOTCONN, "the connection to the device model of domain %u is closed",
                       q->domid);
    }
    begin_call(q);
    rc = send_command(q, command, arguments, err) || next_message(q, &j, err)
             ? -1
             : take_reply(q, command, &j, list, out);
    xf_json_close(&j);
    if (rc < 0)
        xf_qmp_close(q);
    return rc ? -1 : 0;
}

int xf_qmp_call(struct xf_qmp *q, const char *command, json_object *arguments, struct xf_json *out,
                struct xf_err *err)
{
    return call(q, command, arguments, false, out, err);
}

int xf_qmp_call_list(struct xf_qmp *q, const char *command, json_object *arguments,
                     struct xf_json *out, struct xf_err *err)
{
    return call(q, command, arguments, true, out, err);
}

/* --- opening --- */

/* A listener with too many clients is given time. */
static int dial(struct xf_qmp *q, const char *path, struct xf_err *err)
{
    const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    if (snprintf(a.sun_path, sizeof(a.sun_path), "%s", path) >= (int)sizeof(a.sun_path))
        return xf_fail(err, ENAMETOOLONG, "the path %s is too long for a socket", path);
    q->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (q->fd < 0)
        return xf_fail(err, errno, "no descriptor: %s", strerror(errno));
    while (connect(q->fd, (struct sockaddr *)&a, sizeof(a))) {
        if (errno != EAGAIN && errno != EINTR)
            return xf_fail(err, errno, "cannot reach the device model of domain %u at %s: %s",
                           q->domid, path, strerror(errno));
        if (!xf_ms_left(q->until))
            return timed_out(q, err);
        if (tick_if_due(q, err))
            return -1;
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int await_greeting(struct xf_qmp *q, struct xf_err *err)
{
    struct xf_json j, greeting;
    int rc = next_message(q, &j, err) || xf_json_object(&j, "QMP", &greeting) ? -1 : 0;

    q->greeted = !rc;
    xf_json_close(&j);
    return rc;
}

/* A QEMU that is slow carries out the qmp_capabilities of a client that has given up for the one
 * that it has just greeted. To that one's own it answers that the command is unknown: negotiated is
 * negotiated (docs/xen-notes.md). */
static int negotiate(struct xf_qmp *q, struct xf_err *err)
{
    struct xf_json nothing = {0};
    int rc = xf_qmp_call(q, "qmp_capabilities", NULL, &nothing, err);

    xf_json_close(&nothing);
    if (!rc || q->fd < 0 || !q->unknown)
        return rc;
    xf_clear(err);
    return 0;
}

int xf_qmp_open(struct xf_qmp *q, const char *path, uint32_t domid, int limit_ms,
                struct xf_tick tick, struct xf_err *err)
{
    int rc;

    *q = (struct xf_qmp){.fd = -1,
                         .domid = domid,
                         .log_on = q->log_on && q->domid == domid,
                         .id = q->domid == domid ? q->id : 0,
                         .limit_ms = limit_ms,
                         .tick = tick,
                         .in = malloc(XF_QMP_LINE)};
    if (!q->in)
        return xf_fail(err, ENOMEM, "out of memory");
    begin_call(q);
    rc = dial(q, path, err) || await_greeting(q, err) || negotiate(q, err);
    if (rc)
        xf_qmp_close(q);
    return rc ? -1 : 0;
}
