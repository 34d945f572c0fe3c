/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Processes that move guests: see drain_child.h. */
#include "tools/drain_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/background.h"
#include "transport/clock.h"

int children_init(struct drain_children *c, struct xf_err *err)
{
    sigset_t set;

    *c = (struct drain_children){.sigfd = -1};
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (!background_ignores(SIGHUP))
        sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, &c->mask);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
    c->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return c->sigfd < 0 ? xf_fail(err, errno, "cannot wait for signals: %s", strerror(errno)) : 0;
}

static void shut(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void children_forget(struct drain_child *c)
{
    if (!c)
        return;
    shut(&c->out);
    shut(&c->err);
    shut(&c->pidfd);
    free(c->report);
    free(c->line);
    free(c);
}

void children_free(struct drain_children *c)
{
    while (c->n)
        children_forget(c->list[--c->n]);
    shut(&c->sigfd);
}

static _Noreturn void become(const char *path, char *const argv[], int out, int err,
                             const sigset_t *mask)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    setsid();
    if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
        dup2(err, STDERR_FILENO) >= 0) {
        signal(SIGPIPE, SIG_DFL);
        signal(SIGTTOU, SIG_DFL);
        sigprocmask(SIG_SETMASK, mask, NULL);
        execv(path, argv);
    }
    dprintf(err, "cannot run %s: %s\n", path, strerror(errno));
    _exit(127);
}

static struct drain_child *new_child(unsigned guest, unsigned host)
{
    struct drain_child *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->pidfd = c->out = c->err = -1;
    c->guest = guest;
    c->host = host;
    xf_said_init(&c->said);
    c->line = malloc(XF_SAID_LINE);
    if (c->line)
        return c;
    free(c);
    return NULL;
}

/* Our ends of its output; the child's in theirs[]. */
static int make_pipes(struct drain_child *c, int theirs[2])
{
    int p[2];

    theirs[0] = theirs[1] = -1;
    if (pipe2(p, O_CLOEXEC))
        return -1;
    c->out = p[0];
    theirs[0] = p[1];
    if (pipe2(p, O_CLOEXEC))
        return -1;
    c->err = p[0];
    theirs[1] = p[1];
    return fcntl(c->out, F_SETFL, O_NONBLOCK) || fcntl(c->err, F_SETFL, O_NONBLOCK) ? -1 : 0;
}

int children_start(struct drain_children *all, const char *path, char *const argv[], unsigned guest,
                   unsigned host, struct xf_err *err)
{
    struct drain_child *c;
    int theirs[2] = {-1, -1};

    if (all->n == XF_DRAIN_LIMIT_MAX)
        return xf_fail(err, EAGAIN, "too many children");
    c = new_child(guest, host);
    if (!c)
        return xf_fail(err, ENOMEM, "out of memory");
    fflush(NULL);
    c->pid = make_pipes(c, theirs) ? -1 : fork();
    if (!c->pid)
        become(path, argv, theirs[0], theirs[1], &all->mask);
    if (c->pid > 0)
        c->pidfd = pidfd_open(c->pid, 0);
    if (c->pidfd < 0) {
        xf_fail(err, errno, "cannot start a process: %s", strerror(errno));
        if (c->pid > 0) {
            kill(c->pid, SIGKILL); /* it has not begun anything */
            waitpid(c->pid, NULL, 0);
        }
    }
    shut(&theirs[0]);
    shut(&theirs[1]);
    if (c->pidfd < 0) {
        children_forget(c);
        return -1;
    }
    all->list[all->n++] = c;
    return 0;
}

static void take_line(struct drain_child *c)
{
    if (!xf_said_line(&c->said, c->line, c->len))
        return;
    free(c->report);
    c->report = malloc(c->len);
    c->report_len = c->len;
    if (c->report)
        memcpy(c->report, c->line, c->len);
}

static void take_text(struct drain_child *c, const char *text, size_t n)
{
    while (n) {
        const char *end = memchr(text, '\n', n);
        size_t part = end ? (size_t)(end - text) : n;

        c->skip |= part > XF_SAID_LINE - c->len;
        if (!c->skip) {
            memcpy(c->line + c->len, text, part);
            c->len += part;
        }
        if (end) {
            if (!c->skip)
                take_line(c);
            c->len = 0;
            c->skip = false;
            part++;
        }
        text += part;
        n -= part;
    }
}

/* Keep the last of it. */
static void take_errors(struct drain_child *c, const char *text, size_t n)
{
    size_t room = sizeof(c->tail), keep;

    if (n > room) {
        text += n - room;
        n = room;
    }
    keep = c->tail_len < room - n ? c->tail_len : room - n;
    memmove(c->tail, c->tail + c->tail_len - keep, keep);
    memcpy(c->tail + keep, text, n);
    c->tail_len = keep + n;
}

/* Take what can be read now. */
static void take(struct drain_child *c, int *fd)
{
    char text[16384];
    ssize_t n;

    while (*fd >= 0) {
        n = read(*fd, text, sizeof(text));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            shut(fd);
        else if (fd == &c->out)
            take_text(c, text, (size_t)n);
        else
            take_errors(c, text, (size_t)n);
    }
}

/* It has ended; what it left behind may hold its output open, which does not concern us. */
static void reap(struct drain_child *c)
{
    take(c, &c->out);
    take(c, &c->err);
    if (c->len && !c->skip)
        take_line(c);
    while (waitpid(c->pid, &c->status, 0) < 0)
        if (errno != EINTR) {
            c->status = 127 << 8;
            break;
        }
}

static bool interrupted(int sigfd)
{
    struct signalfd_siginfo si;

    return read(sigfd, &si, sizeof(si)) == (ssize_t)sizeof(si);
}

enum drain_event children_wait(struct drain_children *all, int ms, struct drain_child **ended)
{
    struct pollfd p[1 + 3 * XF_DRAIN_LIMIT_MAX];
    int64_t until = ms < 0 ? -1 : xf_now_ms() + ms;
    int rc;

    for (;;) {
        p[0] = (struct pollfd){.fd = all->sigfd, .events = POLLIN};
        for (unsigned i = 0; i < all->n; i++) {
            p[1 + 3 * i] = (struct pollfd){.fd = all->list[i]->pidfd, .events = POLLIN};
            p[2 + 3 * i] = (struct pollfd){.fd = all->list[i]->out, .events = POLLIN};
            p[3 + 3 * i] = (struct pollfd){.fd = all->list[i]->err, .events = POLLIN};
        }
        rc = poll(p, 1 + 3 * all->n, xf_ms_left(until));
        if (rc < 0)
            continue; /* EINTR */
        if (!rc)
            return CHILD_TIME;
        if (p[0].revents && interrupted(all->sigfd))
            return CHILD_INTERRUPT;
        for (unsigned i = 0; i < all->n; i++) {
            struct drain_child *c = all->list[i];

            if (p[2 + 3 * i].revents)
                take(c, &c->out);
            if (p[3 + 3 * i].revents)
                take(c, &c->err);
            if (!p[1 + 3 * i].revents)
                continue;
            reap(c);
            all->list[i] = all->list[--all->n];
            *ended = c;
            return CHILD_ENDED;
        }
    }
}

void children_cancel(struct drain_children *all)
{
    for (unsigned i = 0; i < all->n; i++) {
        all->list[i]->cancelled = true;
        kill(all->list[i]->pid, SIGINT);
    }
}
