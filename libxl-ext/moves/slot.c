/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The slots of a host: see slot.h. Who counts them or takes one holds slots.lock for that moment,
 * so that two never take the last one, nor see each other's look as a slot that is held.
 */
#include "libxl-ext/moves/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "libxl-ext/host/run_dir.h"
#include "transport/clock.h"

#define GATE "slots.lock"
#define GATE_MS 1000
#define MARK 32 /* bytes of SHA-256 */

static int open_file(int dir, const char *file, int flags, struct xf_err *err)
{
    int fd = openat(dir, file, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    char path[300];

    snprintf(path, sizeof(path), "%s/%s", xf_run_dir(), file);
    if (fd < 0)
        return xf_fail(err, errno, "cannot open %s: %s", path, strerror(errno));
    if (!xf_run_file_judge(fd, path, err))
        return fd;
    close(fd);
    return -1;
}

static void slot_name(unsigned i, char name[16])
{
    snprintf(name, 16, "slot.%u", i);
}

/* Returns the gate's descriptor, open but not locked if *shut. */
static int enter(int dir, bool *shut, struct xf_err *err)
{
    int fd = open_file(dir, GATE, O_RDONLY | O_CREAT, err);
    int64_t until = xf_now_ms() + GATE_MS;

    *shut = false;
    while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB)) {
        *shut = xf_now_ms() >= until;
        if (*shut)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return fd;
}

/* Open a slot to look at it: 1 when it is held, with *fd open; 0 when it is not. The file is not
 * opened for writing, which would wake everybody who waits (xf_slot_watch()). */
static int look(int dir, unsigned i, int *fd, struct xf_err *err)
{
    struct xf_err why = {0};
    char name[16];

    slot_name(i, name);
    *fd = open_file(dir, name, O_RDONLY, &why);
    if (*fd < 0)
        return why.num == ENOENT ? 0 : xf_fail(err, why.num, "%s", why.text);
    if (flock(*fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return 1;
    close(*fd);
    *fd = -1;
    return 0;
}

/* Count the slots that are held, up to `limit`: most of those who look wait, and need to know no
 * more. *free: the first that is not held. */
static int count(int dir, unsigned limit, unsigned *busy, unsigned *free, struct xf_err *err)
{
    *busy = 0;
    *free = XF_MOVES_MAX;
    for (unsigned i = 0; i < XF_MOVES_MAX && *busy < limit; i++) {
        int fd, held = look(dir, i, &fd, err);

        if (held < 0)
            return -1;
        if (held)
            close(fd);
        else if (*free == XF_MOVES_MAX)
            *free = i;
        *busy += held;
    }
    return 0;
}

static int hold(int dir, unsigned i, int *fd, struct xf_err *err)
{
    char name[16];

    slot_name(i, name);
    *fd = open_file(dir, name, O_RDWR | O_CREAT, err);
    if (*fd < 0)
        return -1;
    if (!flock(*fd, LOCK_EX | LOCK_NB) && !ftruncate(*fd, 0))
        return 0;
    xf_fail(err, errno, "cannot lock %s/%s: %s", xf_run_dir(), name, strerror(errno));
    close(*fd);
    *fd = -1;
    return -1;
}

/* fd: NULL to count only. */
static int visit(unsigned limit, int *fd, unsigned *busy, struct xf_err *err)
{
    int dir = xf_run_dir_open(xf_run_dir(), true, err), gate, rc = -1;
    unsigned free;
    bool shut;

    if (dir < 0)
        return -1;
    gate = enter(dir, &shut, err);
    if (gate < 0) {
        close(dir);
        return -1;
    }
    /* Without the gate the count may be wrong, but a move that waits does so in any case. */
    if (!count(dir, limit, busy, &free, err))
        rc = shut || *busy >= limit ? XF_SLOT_NONE : 0;
    if (!rc && fd) {
        rc = hold(dir, free, fd, err);
        *busy += !rc;
    }
    close(gate);
    close(dir);
    return rc;
}

int xf_slot_take(unsigned limit, int *fd, unsigned *busy, struct xf_err *err)
{
    *fd = -1;
    return visit(limit, fd, busy, err);
}

int xf_slots_busy(unsigned *busy, struct xf_err *err)
{
    return visit(XF_MOVES_MAX, NULL, busy, err) < 0 ? -1 : 0;
}

void xf_slot_give(int *fd)
{
    if (*fd < 0)
        return;
    /* Before the close, which wakes those who wait. */
    flock(*fd, LOCK_UN);
    close(*fd);
    *fd = -1;
}

static int mark_of(const struct xf_key *key, uint8_t mark[MARK])
{
    static const char prefix[] = "xenferry slot";
    uint8_t text[sizeof(prefix) + sizeof(key->bytes)];
    int rc;

    memcpy(text, prefix, sizeof(prefix));
    memcpy(text + sizeof(prefix), key->bytes, sizeof(key->bytes));
    rc = gnutls_hash_fast(GNUTLS_DIG_SHA256, text, sizeof(text), mark);
    explicit_bzero(text, sizeof(text));
    return rc;
}

int xf_slot_mark(int fd, const struct xf_key *key, struct xf_err *err)
{
    uint8_t mark[MARK];

    if (mark_of(key, mark))
        return xf_fail(err, EIO, "cannot compute a hash");
    if (pwrite(fd, mark, sizeof(mark), 0) == (ssize_t)sizeof(mark))
        return 0;
    return xf_fail(err, errno, "cannot write to %s: %s", xf_run_dir(), strerror(errno));
}

bool xf_slot_marked(const struct xf_key *key)
{
    int dir = xf_run_dir_open(xf_run_dir(), false, NULL), gate, fd;
    uint8_t mark[MARK], seen[MARK];
    bool found = false, shut;

    if (dir < 0)
        return false;
    gate = enter(dir, &shut, NULL);
    for (unsigned i = 0; !mark_of(key, mark) && i < XF_MOVES_MAX && !found; i++) {
        if (look(dir, i, &fd, NULL) != 1)
            continue;
        found = pread(fd, seen, MARK, 0) == MARK && !memcmp(seen, mark, MARK);
        close(fd);
    }
    if (gate >= 0)
        close(gate);
    close(dir);
    return found;
}

int xf_slot_watch(void)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    if (fd >= 0 && inotify_add_watch(fd, xf_run_dir(), IN_CLOSE_WRITE | IN_ONLYDIR) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

bool xf_slot_await(int watch, int ms)
{
    struct pollfd pf = {.fd = watch, .events = POLLIN};
    char events[4096];

    if (poll(&pf, 1, ms) <= 0)
        return false;
    while (read(watch, events, sizeof(events)) > 0)
        ;
    return true;
}
