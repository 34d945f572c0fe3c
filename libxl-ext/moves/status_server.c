/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Serving a move's status: see status.h. One thread owns the socket and its clients and shares with
 * the move only a copy of the numbers, under a lock held only while copying. A client that sends or
 * reads nothing is dropped.
 */
#include "libxl-ext/moves/status_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "libxl-ext/host/run_dir.h"
#include "transport/clock.h"
#include "transport/lock.h"
#include "transport/version.h"
#include "transport/wire.h"

#define CLIENTS 8  /* at once; the oldest is dropped for a new one */
#define WAITERS 16 /* of those who wait for the end, which are not dropped */
#define CLIENT_MS 2000
#define PAUSE_MS 500 /* after a failure that the next accept would only repeat */

enum request { POSTCOPY, WAIT, CANCEL, REQUESTS };
static const char *const requests[REQUESTS] = {"postcopy\n", "wait\n", "cancel\n"};
#define REQUEST_MAX 10

struct client {
    int fd;
    int64_t until;
    char text[REQUEST_MAX]; /* of the request, as far as it has been received */
    size_t heard;           /* its length */
    bool waits;             /* for the end of the move */
};

XF_LOCK_ROLE(status_lock);

struct xf_status_server {
    int listener, stop;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    pthread_t thread;
    unsigned nr, waiters;                     /* waiters: of nr */
    struct client clients[CLIENTS + WAITERS]; /* the thread's; oldest first */
    char end[XF_STATUS_LINE]; /* for those who wait, before the thread is stopped; empty: none */

    pthread_mutex_t lock;
    struct xf_status now XF_GUARDED(status_lock);
    double at XF_GUARDED(status_lock);
    bool asked XF_GUARDED(status_lock);
    volatile sig_atomic_t *cancel XF_GUARDED(status_lock);
};

/* --- the thread --- */

static void drop(struct xf_status_server *s, unsigned i)
{
    close(s->clients[i].fd);
    s->waiters -= s->clients[i].waits;
    s->nr--;
    memmove(&s->clients[i], &s->clients[i + 1], (s->nr - i) * sizeof(s->clients[0]));
}

/* Write a line into the socket's buffer, which is empty: it fits, or the client is not one of
 * ours. */
static bool say(int fd, const char *line, size_t len)
{
    return len && send(fd, line, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len;
}

static bool greet(struct xf_status_server *s, int fd)
{
    char line[XF_STATUS_LINE];
    struct xf_status now;

    xf_lock(&s->lock, status_lock);
    now = s->now;
    now.age_s = xf_now() - s->at;
    xf_unlock(&s->lock, status_lock);
    now.elapsed_s += now.age_s;
    snprintf(now.version, sizeof(now.version), "%s", xf_version());
    return say(fd, line, xf_status_encode(&now, line));
}

static void answer(struct xf_status_server *s, int fd)
{
    char line[XF_STATUS_LINE], why_not[sizeof(s->now.no_switch)];

    xf_lock(&s->lock, status_lock);
    memcpy(why_not, s->now.no_switch, sizeof(why_not));
    if (!why_not[0])
        s->asked = true;
    xf_unlock(&s->lock, status_lock);
    say(fd, line, xf_answer_encode(why_not, line));
}

/* Why the move is not cancelled; empty: it is being. */
static void cancel(struct xf_status_server *s, char *why_not, size_t size)
{
    *why_not = 0;
    xf_lock(&s->lock, status_lock);
    if (s->now.phase > XF_PHASE_SWITCH || !s->cancel)
        snprintf(why_not, size, "it is too late: the guest has left for \"%.100s\", and runs there",
                 s->now.host);
    else if (!*s->cancel)
        *s->cancel = 1;
    xf_unlock(&s->lock, status_lock);
}

/* The client stays until the move ends. False: there are too many of them. */
static bool stay(struct xf_status_server *s, struct client *c)
{
    c->waits = s->waiters < WAITERS;
    s->waiters += c->waits;
    return c->waits;
}

/* False: this client is finished. */
static bool serve_request(struct xf_status_server *s, struct client *c, enum request r)
{
    char line[XF_STATUS_LINE], why_not[sizeof(s->now.no_switch)] = "";

    if (r == POSTCOPY) {
        answer(s, c->fd);
        return false;
    }
    if (r == CANCEL)
        cancel(s, why_not, sizeof(why_not));
    if (!why_not[0] && !stay(s, c))
        snprintf(why_not, sizeof(why_not), "too many others wait for the end of this move");
    return say(c->fd, line, xf_answer_encode(why_not, line)) && !why_not[0];
}

/* There is something to read, or end of file. False: this client is finished. */
static bool hear(struct xf_status_server *s, struct client *c)
{
    ssize_t n = recv(c->fd, c->text + c->heard, REQUEST_MAX - c->heard, MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0 || c->waits)
        return false;
    c->heard += (size_t)n;
    for (enum request r = 0; r < REQUESTS; r++) {
        size_t len = strlen(requests[r]);

        if (!memcmp(c->text, requests[r], c->heard < len ? c->heard : len))
            return c->heard < len || serve_request(s, c, r);
    }
    return false;
}

/* The oldest of those who do not wait for the end. */
static void drop_oldest(struct xf_status_server *s)
{
    for (unsigned i = 0; i < s->nr; i++) {
        if (s->clients[i].waits)
            continue;
        drop(s, i);
        return;
    }
}

/* False: nothing to accept from the listener for now. */
static bool welcome(struct xf_status_server *s)
{
    int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED;
    if (s->nr - s->waiters == CLIENTS)
        drop_oldest(s);
    s->clients[s->nr++] = (struct client){.fd = fd, .until = xf_now_ms() + CLIENT_MS};
    if (!greet(s, fd))
        drop(s, s->nr - 1);
    return true;
}

static void *serve(void *arg)
{
    struct xf_status_server *s = arg;
    bool paused = false;

    for (;;) {
        struct pollfd fds[CLIENTS + WAITERS + 2] = {
            {.fd = s->stop, .events = POLLIN}, {.fd = paused ? -1 : s->listener, .events = POLLIN}};
        int wait = paused ? PAUSE_MS : -1;
        int64_t now;

        for (unsigned i = 0; i < s->nr; i++) {
            const struct client *c = &s->clients[i];

            fds[2 + i] = (struct pollfd){.fd = c->fd, .events = POLLIN};
            if (!c->waits && (wait < 0 || xf_ms_left(c->until) < wait))
                wait = xf_ms_left(c->until);
        }
        poll(fds, 2 + s->nr, wait);
        if (fds[0].revents)
            break;
        now = xf_now_ms();
        for (unsigned i = s->nr; i-- > 0;)
            if (fds[2 + i].revents ? !hear(s, &s->clients[i])
                                   : !s->clients[i].waits && now >= s->clients[i].until)
                drop(s, i);
        paused = (fds[1].revents & POLLIN) && !welcome(s);
    }
    for (; s->nr; drop(s, 0))
        if (s->clients[0].waits)
            say(s->clients[0].fd, s->end, strlen(s->end));
    return NULL;
}

/* --- open and close --- */

/* The socket gets its name only once it listens: a client that is refused under that name knows
 * that nobody will listen there again. */
static int listen_at(struct xf_status_server *s, const char *name, struct xf_err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    const char *dir = xf_run_dir();

    if (snprintf(s->path, sizeof(s->path), "%s/%s", dir, name) >= (int)sizeof(s->path) ||
        snprintf(a.sun_path, sizeof(a.sun_path), "%s/.%s", dir, name) >= (int)sizeof(a.sun_path))
        return xf_fail(err, ENAMETOOLONG, "the path %s/%s is too long for a socket", dir, name);
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(a.sun_path);
    if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&a, sizeof(a)) ||
        chmod(a.sun_path, 0600) || listen(s->listener, CLIENTS) || rename(a.sun_path, s->path)) {
        xf_fail(err, errno, "cannot listen at %s: %s", s->path, strerror(errno));
        unlink(a.sun_path);
        return -1;
    }
    return 0;
}

/* Signals are for the move's thread. */
static int start_thread(struct xf_status_server *s)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&s->thread, NULL, serve, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

int xf_status_open(struct xf_status_server **out, uint32_t id, const struct xf_status *first,
                   struct xf_err *err)
{
    struct xf_status_server *s = calloc(1, sizeof(*s));
    char name[48];
    int rc;

    if (!s)
        return xf_fail(err, ENOMEM, "out of memory");
    s->listener = -1;
    pthread_mutex_init(&s->lock, NULL);
    xf_status_set(s, first);
    s->stop = eventfd(0, EFD_CLOEXEC);
    snprintf(name, sizeof(name), "%s-%u.sock", first->source ? "source" : "destination", id);
    if (s->stop < 0)
        xf_fail(err, errno, "no descriptor: %s", strerror(errno));
    else if (!xf_run_dir_make(err) && !listen_at(s, name, err)) {
        rc = start_thread(s);
        if (!rc) {
            *out = s;
            return 0;
        }
        unlink(s->path);
        xf_fail(err, rc, "cannot start a thread: %s", strerror(rc));
    }
    if (s->listener >= 0)
        close(s->listener);
    if (s->stop >= 0)
        close(s->stop);
    pthread_mutex_destroy(&s->lock);
    free(s);
    return -1;
}

void xf_status_set(struct xf_status_server *s, const struct xf_status *now)
{
    if (!s)
        return;
    xf_lock(&s->lock, status_lock);
    s->now = *now;
    s->at = xf_now();
    xf_unlock(&s->lock, status_lock);
}

bool xf_status_asked(struct xf_status_server *s)
{
    bool asked;

    if (!s)
        return false;
    xf_lock(&s->lock, status_lock);
    asked = s->asked;
    xf_unlock(&s->lock, status_lock);
    return asked;
}

void xf_status_let_cancel(struct xf_status_server *s, volatile sig_atomic_t *cancel)
{
    if (!s)
        return;
    xf_lock(&s->lock, status_lock);
    s->cancel = cancel;
    xf_unlock(&s->lock, status_lock);
}

void xf_status_end(struct xf_status_server *s, const struct xf_ended *e)
{
    if (s)
        xf_ended_encode(e, s->end);
    xf_status_close(s);
}

void xf_status_close(struct xf_status_server *s)
{
    uint64_t one = 1;

    if (!s)
        return;
    unlink(s->path);
    while (write(s->stop, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    pthread_join(s->thread, NULL);
    close(s->listener);
    close(s->stop);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static void forget(const char *role, uint32_t number)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/%s-%u.sock", xf_run_dir(), role, number) <
        (int)sizeof(path))
        unlink(path);
}

void xf_status_forget(uint32_t domid)
{
    forget("source", domid);
}

void xf_status_forget_sink(uint32_t pid)
{
    forget("destination", pid);
}

int xf_ended_write(const struct xf_ended *e, struct xf_err *err)
{
    const char *dir = xf_run_dir();
    char line[XF_STATUS_LINE], path[PATH_MAX], draft[PATH_MAX];
    size_t len = xf_ended_encode(e, line);
    ssize_t put = 0;
    int fd, rc = -1;

    if (!len ||
        snprintf(path, sizeof(path), "%s/ended-%d", dir, (int)e->pid) >= (int)sizeof(path) ||
        snprintf(draft, sizeof(draft), "%s/.ended-%d", dir, (int)e->pid) >= (int)sizeof(draft))
        return xf_fail(err, EINVAL, "cannot record the end of a move in %s", dir);
    if (xf_run_dir_make(err))
        return -1;
    fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && (put = write(fd, line, len)) == (ssize_t)len && !rename(draft, path))
        rc = 0;
    else
        xf_fail(err, put > 0 && put < (ssize_t)len ? ENOSPC : errno, "cannot write %s: %s", path,
                strerror(put > 0 && put < (ssize_t)len ? ENOSPC : errno));
    if (fd >= 0)
        close(fd);
    if (fd >= 0 && rc)
        unlink(draft);
    return rc;
}

void xf_status_pace(struct xf_status_pace *p, uint64_t missing, double now, struct xf_status *s)
{
    const double window_s = 1;

    if (!p->at || missing > p->missing) { /* after a new link, count from the number it reported */
        p->at = now;
        p->missing = missing;
    } else if (now - p->at >= window_s) {
        double rate = (double)(p->missing - missing) / (now - p->at);

        p->rate = p->rate > 0 ? (p->rate + rate) / 2 : rate;
        p->at = now;
        p->missing = missing;
    }
    s->missing = missing;
    s->rate_bps = p->rate * XF_PAGE_SIZE;
    s->eta_s = !missing ? 0 : p->rate > 0 ? (double)missing / p->rate : -1;
}
