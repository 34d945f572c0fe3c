/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Waiting for the end of a move in another process, and cancelling it: see status.h. */
#include "libxl-ext/moves/status_dial.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "libxl-ext/host/run_dir.h"

#define LOOK_MS 1000
/* How long a process may take to end after its move has. */
#define LAST_MS 15000

/* The connection to a move. */
struct waiting {
    int fd, pidfd;
    char path[PATH_MAX];
    struct xf_status status; /* as last heard */
};

static void hang_up(struct waiting *w)
{
    if (w->fd >= 0)
        close(w->fd);
    if (w->pidfd >= 0)
        close(w->pidfd);
    w->fd = w->pidfd = -1;
}

static int just_ended(const char *domain, struct xf_err *err)
{
    return xf_fail(err, ESRCH, "the move of \"%s\" has just ended", domain);
}

static int dial(struct waiting *w, const char *domain, struct xf_err *err)
{
    uint32_t domid = XF_NO_DOMID;

    *w = (struct waiting){.fd = -1, .pidfd = -1};
    if (xf_status_find_source(domain, &domid, err))
        return -1;
    snprintf(w->path, sizeof(w->path), "%s/source-%u.sock", xf_run_dir(), domid);
    if (xf_status_hear(w->path, &w->fd, &w->status) != XF_HEARD)
        return just_ended(domain, err);
    /* It has just answered, so the number is still its own. */
    w->pidfd = (int)syscall(SYS_pidfd_open, w->status.pid, 0);
    if (w->pidfd >= 0 && xf_status_is(w->status.domain, w->status.domid, domain))
        return 0;
    hang_up(w);
    return just_ended(domain, err);
}

static int request(struct waiting *w, const char *what, struct xf_err *err)
{
    char line[XF_STATUS_LINE];
    ssize_t len;

    if (send(w->fd, what, strlen(what), MSG_NOSIGNAL) != (ssize_t)strlen(what) ||
        (len = xf_status_read_line(w->fd, line, XF_STATUS_ANSWER_MS)) < 0)
        return xf_fail(err, ETIMEDOUT,
                       "the process that moves it did not answer; `xl migrate-status` shows "
                       "whether it is still running, and of which version");
    return xf_answer_decode(line, (size_t)len, err);
}

/* Does the process end within this time? */
static bool ends(const struct waiting *w, int ms)
{
    struct pollfd pf = {.fd = w->pidfd, .events = POLLIN};

    return poll(&pf, 1, ms) > 0;
}

/* Is the guest at the destination by now? */
static bool has_left(struct waiting *w)
{
    struct xf_status now;
    int fd;

    if (xf_status_hear(w->path, &fd, &now) != XF_HEARD)
        return false;
    close(fd);
    if (now.pid == w->status.pid)
        w->status = now;
    return w->status.phase > XF_PHASE_SWITCH;
}

/* Wait for the last line. 1: the connection was closed without one. */
static int read_end(struct waiting *w, bool cancelled, struct xf_ended *out, struct xf_err *err)
{
    struct pollfd pf = {.fd = w->fd, .events = POLLIN};
    char line[XF_STATUS_LINE];
    ssize_t len;

    while (poll(&pf, 1, cancelled ? LOOK_MS : -1) <= 0) {
        if (!cancelled || !has_left(w))
            continue;
        *out = (struct xf_ended){.outcome = XF_PULLING, .pid = w->status.pid, .when = time(NULL)};
        memcpy(out->domain, w->status.domain, sizeof(out->domain));
        memcpy(out->host, w->status.host, sizeof(out->host));
        return 0;
    }
    len = xf_status_read_line(w->fd, line, XF_STATUS_ANSWER_MS);
    if (len < 0)
        return 1;
    if (xf_ended_decode(line, (size_t)len, out, err))
        return -1;
    ends(w, LAST_MS); /* so that the domain's lock is free, and nothing of the move is left */
    return 0;
}

/* It may have ended in the background, just before. */
static bool has_ended(const char *domain, struct xf_ended *out)
{
    struct xf_status_list all;
    bool found = false;

    if (!xf_statuses(&all, NULL)) {
        for (unsigned i = 0; i < all.nr_ended; i++) {
            if (strcmp(all.ended[i].domain, domain) != 0)
                continue;
            *out = all.ended[i];
            found = true;
        }
    }
    xf_statuses_free(&all);
    return found;
}

static int run(const char *domain, const char *what, struct xf_ended *out, struct xf_err *err)
{
    bool cancelled = !strcmp(what, "cancel\n"), dead = false;
    struct waiting w;
    int rc;

    do {
        if (dial(&w, domain, err)) {
            if (cancelled || err->num != ESRCH || !has_ended(domain, out))
                return -1;
            xf_clear(err);
            return 0;
        }
        rc = request(&w, what, err) ? -1 : read_end(&w, cancelled, out, err);
        /* A move whose guest was rebooted while it waited for its turn begins anew. */
        dead = rc > 0 && ends(&w, LOOK_MS);
        hang_up(&w);
    } while (rc > 0 && !dead);
    if (!dead)
        return rc;
    return xf_fail(err, ECONNRESET,
                   "the process that moved \"%s\" has died; `xl migrate-recover %s` says where the "
                   "guest is, and finishes the move",
                   domain, domain);
}

int xf_await_end(const char *domain, struct xf_ended *out, struct xf_err *err)
{
    return run(domain, "wait\n", out, err);
}

int xf_ask_cancel(const char *domain, struct xf_ended *out, struct xf_err *err)
{
    return run(domain, "cancel\n", out, err);
}
