/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Querying the status of this host's moves: see status.h. Leftovers of dead processes are removed
 * along the way: sockets without a listener, old results and drafts.
 */
#include "libxl-ext/moves/status_dial.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "libxl-ext/host/run_dir.h"
#include "transport/clock.h"

#define DAY_S (24 * 3600)

/* Is it PREFIX, a number, SUFFIX? */
static bool is_name(const char *name, const char *prefix, const char *suffix)
{
    size_t len = strlen(prefix), digits;

    if (strncmp(name, prefix, len) != 0)
        return false;
    digits = strspn(name + len, "0123456789");
    return digits > 0 && digits <= 10 && !strcmp(name + len + digits, suffix);
}

/* --- one socket --- */

/* Returns a descriptor, or -1 with errno. A listener with too many clients is given time. */
static int dial(const char *path)
{
    const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int64_t until = xf_now_ms() + XF_STATUS_ANSWER_MS;
    int fd;

    if (snprintf(a.sun_path, sizeof(a.sun_path), "%s", path) >= (int)sizeof(a.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    while (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a))) {
        int why = errno;

        if ((why == EAGAIN || why == EINTR) && xf_now_ms() < until) {
            nanosleep(&pause, NULL);
            continue;
        }
        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

ssize_t xf_status_read_line(int fd, char line[XF_STATUS_LINE], int within_ms)
{
    int64_t until = xf_now_ms() + within_ms;
    size_t len = 0;

    for (;;) {
        struct pollfd pf = {.fd = fd, .events = POLLIN};
        const char *end;
        ssize_t n, use;

        if (len == XF_STATUS_LINE - 1 || xf_now_ms() >= until)
            return -1;
        if (poll(&pf, 1, xf_ms_left(until)) <= 0)
            continue;
        n = recv(fd, line + len, XF_STATUS_LINE - 1 - len, MSG_PEEK);
        if (n <= 0) {
            if (n < 0 && (errno == EAGAIN || errno == EINTR))
                continue;
            return -1;
        }
        end = memchr(line + len, '\n', (size_t)n);
        use = end ? end - (line + len) + 1 : n;
        if (recv(fd, line + len, (size_t)use, 0) != use)
            return -1;
        len += (size_t)use;
        if (!end)
            continue;
        line[--len] = 0;
        return (ssize_t)len;
    }
}

enum xf_heard xf_status_hear(const char *path, int *fd, struct xf_status *out)
{
    char line[XF_STATUS_LINE];
    ssize_t len;

    *fd = dial(path);
    if (*fd < 0) {
        if (errno == ECONNREFUSED)
            unlink(path); /* it listened before it had this name, so it listens no longer */
        return errno == ECONNREFUSED || errno == ENOENT ? XF_GONE : XF_SILENT;
    }
    len = xf_status_read_line(*fd, line, XF_STATUS_ANSWER_MS);
    if (len >= 0 && !xf_status_decode(line, (size_t)len, out, NULL))
        return XF_HEARD;
    close(*fd);
    *fd = -1;
    return XF_SILENT;
}

/* --- results --- */

static bool read_end(const char *path, struct xf_ended *out)
{
    char line[XF_STATUS_LINE];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = fd >= 0 ? read(fd, line, sizeof(line)) : -1;
    int64_t now = time(NULL);

    if (fd >= 0)
        close(fd);
    if (n <= 0 || line[n - 1] != '\n' || xf_ended_decode(line, (size_t)n - 1, out, NULL) ||
        out->when < now - DAY_S || out->when > now + DAY_S) {
        unlink(path);
        return false;
    }
    return true;
}

/* --- all --- */

/* A file that gets its name only when complete briefly has another name before: an old one was left
 * by a process that died in between. */
static void sweep_draft(const char *name)
{
    char path[PATH_MAX];
    struct stat st;

    if (!is_name(name, ".ended-", "") && !is_name(name, ".source-", ".sock") &&
        !is_name(name, ".destination-", ".sock"))
        return;
    if (snprintf(path, sizeof(path), "%s/%s", xf_run_dir(), name) < (int)sizeof(path) &&
        !lstat(path, &st) && st.st_mtime < time(NULL) - DAY_S)
        unlink(path);
}

/* List names of relevant files. Many results must not crowd out moves. */
static unsigned list_names(DIR *d, char names[2 * XF_STATUS_MAX][NAME_MAX + 1])
{
    unsigned moves = 0, ends = 0;
    struct dirent *e;

    while ((e = readdir(d))) {
        bool move =
            is_name(e->d_name, "source-", ".sock") || is_name(e->d_name, "destination-", ".sock");
        unsigned *nr = move ? &moves : &ends;

        sweep_draft(e->d_name);
        if ((!move && !is_name(e->d_name, "ended-", "")) || *nr == XF_STATUS_MAX)
            continue;
        snprintf(names[moves + ends], NAME_MAX + 1, "%s", e->d_name);
        ++*nr;
    }
    return moves + ends;
}

static int by_place(const void *a, const void *b)
{
    const struct xf_status *x = a, *y = b;

    if (x->source != y->source)
        return x->source ? -1 : 1;
    if (x->domid != y->domid)
        return x->domid < y->domid ? -1 : 1;
    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static int by_time(const void *a, const void *b)
{
    const struct xf_ended *x = a, *y = b;

    return x->when < y->when ? -1 : x->when > y->when;
}

static void take(struct xf_status_list *out, const char *name)
{
    char path[PATH_MAX];
    int fd;

    if (snprintf(path, sizeof(path), "%s/%s", xf_run_dir(), name) >= (int)sizeof(path))
        return;
    if (name[0] == 'e') {
        out->nr_ended += read_end(path, &out->ended[out->nr_ended]);
        return;
    }
    switch (xf_status_hear(path, &fd, &out->list[out->nr])) {
    case XF_HEARD:
        close(fd);
        out->nr++;
        break;
    case XF_SILENT:
        out->silent++;
        break;
    case XF_GONE:
        break;
    }
}

int xf_statuses(struct xf_status_list *out, struct xf_err *err)
{
    char(*names)[NAME_MAX + 1] = calloc(2 * XF_STATUS_MAX, sizeof(*names));
    DIR *d = NULL;
    unsigned n = 0;
    int rc = 0;

    *out = (struct xf_status_list){.list = calloc(XF_STATUS_MAX, sizeof(*out->list)),
                                   .ended = calloc(XF_STATUS_MAX, sizeof(*out->ended))};
    if (!names || !out->list || !out->ended)
        rc = xf_fail(err, ENOMEM, "out of memory");
    if (!rc && !(d = opendir(xf_run_dir())) && errno != ENOENT)
        rc =
            xf_fail(err, errno, "cannot read %s: %s; are you root?", xf_run_dir(), strerror(errno));
    if (d) {
        n = list_names(d, names);
        closedir(d);
    }
    for (unsigned i = 0; i < n; i++)
        take(out, names[i]);
    if (out->nr)
        qsort(out->list, out->nr, sizeof(*out->list), by_place);
    if (out->nr_ended)
        qsort(out->ended, out->nr_ended, sizeof(*out->ended), by_time);
    free(names);
    return rc;
}

void xf_statuses_free(struct xf_status_list *l)
{
    free(l->list);
    free(l->ended);
    *l = (struct xf_status_list){0};
}

bool xf_status_is(const char *domain, uint32_t domid, const char *given)
{
    char number[16];

    snprintf(number, sizeof(number), "%u", domid);
    return !strcmp(domain, given) || (domid != XF_NO_DOMID && !strcmp(number, given));
}

/* --- a request --- */

static int ask(int fd, struct xf_err *err)
{
    static const char request[] = "postcopy\n";
    char line[XF_STATUS_LINE];
    ssize_t len;

    if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(request) - 1 ||
        (len = xf_status_read_line(fd, line, XF_STATUS_ANSWER_MS)) < 0)
        return xf_fail(err, ETIMEDOUT,
                       "the process that moves it did not answer; `xl migrate-status` shows "
                       "whether it is still running");
    return xf_answer_decode(line, (size_t)len, err);
}

int xf_status_find_source(const char *domain, uint32_t *domid, struct xf_err *err)
{
    struct xf_status_list all;
    int rc = xf_statuses(&all, err);
    bool incoming = false;

    for (unsigned i = 0; !rc && i < all.nr; i++) {
        if (!xf_status_is(all.list[i].domain, all.list[i].domid, domain))
            continue;
        incoming |= !all.list[i].source;
        if (all.list[i].source) {
            *domid = all.list[i].domid;
            xf_statuses_free(&all);
            return 0;
        }
    }
    if (!rc && incoming)
        rc = xf_fail(err, ESRCH,
                     "\"%s\" is on its way to this host: give the command at its source", domain);
    if (!rc)
        rc = xf_fail(err, ESRCH, "no move of a domain \"%s\" from here is under way%s", domain,
                     all.silent ? ", as far as the moves of this host answer" : "");
    xf_statuses_free(&all);
    return rc;
}

int xf_ask_postcopy(const char *domain, struct xf_err *err)
{
    struct xf_status status;
    char path[PATH_MAX];
    uint32_t domid = XF_NO_DOMID;
    int fd, rc = -1;

    if (xf_status_find_source(domain, &domid, err))
        return -1;
    snprintf(path, sizeof(path), "%s/source-%u.sock", xf_run_dir(), domid);
    if (xf_status_hear(path, &fd, &status) != XF_HEARD)
        return xf_fail(err, ESRCH, "the move of \"%s\" has just ended", domain);
    if (xf_status_is(status.domain, status.domid, domain))
        rc = ask(fd, err);
    else
        xf_fail(err, ESRCH, "the move of \"%s\" has just ended", domain);
    close(fd);
    return rc;
}
