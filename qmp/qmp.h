/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A connection to the monitor of a domain's device model (QEMU), which speaks QMP: JSON, one
 * message a line. The commands are in qmp_commands.h.
 *
 * The monitor serves one client at a time, and the next one waits for its greeting: xentop visits
 * this socket for a moment, libxl has one of its own. So connect, ask, and close.
 *
 * QEMU handles the guest's input and is not trusted: a message is at most XF_QMP_LINE long, and
 * each field is checked (transport/json_in.h). Events may come at any time; everything else must be
 * the answer to the command that was sent.
 *
 * Errors of every call that takes a `struct xf_err`, here and where commands are given:
 *   EREMOTEIO     QEMU refused the command; the sentence quotes it. The connection stays usable
 *   ETIMEDOUT     no answer within the limit: the command may have been carried out, or may be yet
 *   ECONNRESET    the connection has ended, and so has QEMU
 *   EPROTO        an invalid message
 *   ENOTCONN      the connection was closed before
 *   ENOMEM, and those of the tick
 * After all but EREMOTEIO, and after a failed xf_qmp_open(), the connection is closed, and may be
 * opened again.
 *
 * One thread at a time; a tick must not use the connection that calls it.
 */
#ifndef XF_QMP_H
#define XF_QMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/json_in.h"
#include "transport/tick.h"

#define XF_QMP_LINE (256u << 10) /* bytes of one message, newline included */
#define XF_QMP_PATH 108u         /* size of a socket's path, NUL included */

/* Bits. */
enum xf_qmp_event {
    XF_QMP_RESUME = 1,
    XF_QMP_STOP = 2,
    XF_QMP_SHUTDOWN = 4,
};

/* Belongs to one device model for as long as that lives. Begins as XF_QMP_CLOSED. */
struct xf_qmp {
    int fd; /* -1: closed */
    uint32_t domid;
    unsigned seen; /* enum xf_qmp_event: of the messages read since it was opened, up to the
                    * last answer. The caller may clear it */
    bool log_on;   /* QEMU has answered our xf_qmp_log_on(). Survives closing */

    int limit_ms; /* of one call, and its tick: the caller may change them between calls */
    struct xf_tick tick;

    /* Private to qmp.c. */
    int64_t until, next_tick; /* of the current call, on xf_now_ms() */
    uint32_t id; /* of the last command. Goes on when it is opened again, so that a late
                  * answer to a command of before is known as that */
    bool greeted;
    bool unknown; /* the last refusal was that of a command that QEMU does not know (now) */
    char *in;     /* XF_QMP_LINE bytes; received and not yet read: from at to end */
    size_t at, end;
};

#define XF_QMP_CLOSED ((struct xf_qmp){.fd = -1})

/* Where the monitor for other programs than libxl is. */
void xf_qmp_path(uint32_t domid, char out[XF_QMP_PATH]);

/*
 * Connect to the monitor at `path`, which must be that of domid's device model, and wait for its
 * greeting. limit_ms and tick hold for this call, and for each one after it. Also ENOENT,
 * ECONNREFUSED: nobody listens there, not yet or not any more; ENAMETOOLONG; others of connect(2).
 */
int xf_qmp_open(struct xf_qmp *q, const char *path, uint32_t domid, int limit_ms,
                struct xf_tick tick, struct xf_err *err);
/* The same for a domain of this host, without a tick. */
static inline int xf_qmp_open_domain(struct xf_qmp *q, uint32_t domid, int limit_ms,
                                     struct xf_err *err)
{
    char path[XF_QMP_PATH];

    xf_qmp_path(domid, path);
    return xf_qmp_open(q, path, domid, limit_ms, (struct xf_tick){0}, err);
}
/* Does nothing if it is closed. */
void xf_qmp_close(struct xf_qmp *q);

/*
 * Send a command and wait for its answer. arguments: a JSON object, which the call consumes; NULL:
 * none. *out is what QEMU returned, an object: to be closed by xf_json_close(), also after an
 * error; err must live as long.
 */
int xf_qmp_call(struct xf_qmp *q, const char *command, json_object *arguments, struct xf_json *out,
                struct xf_err *err);
/* The same for a command that returns a list, or a word: *out is an object whose field "return",
 * not looked at, should be that. */
int xf_qmp_call_list(struct xf_qmp *q, const char *command, json_object *arguments,
                     struct xf_json *out, struct xf_err *err);

#endif
