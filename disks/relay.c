/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A relay's thread: see relay.h. It never waits for its socket, since a peer that does not read
 * must not keep it from noticing that the other has gone. It does wait in the channel's send: for
 * stall_ms of the channel at most, and then all is over.
 */
#include "disks/relay.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "transport/clock.h"
#include "transport/lock.h"
#include "transport/wire.h"

#define LOOK_MS 250 /* how often it is checked whether an answer is overdue */
#define ROOM (1 << 20)

XF_LOCK_ROLE(xf_relay_lock);

struct xf_relay {
    const struct xf_transport_ops *ops;
    pthread_t thread;
    int wake; /* eventfd: readable once aborted */
    atomic_bool aborted;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct xf_chan *chan XF_GUARDED(xf_relay_lock); /* NULL: closed; only the thread uses it
                                                     * otherwise, and closes it */
    bool ended XF_GUARDED(xf_relay_lock);
    struct xf_err why XF_GUARDED(xf_relay_lock);
    struct xf_chan_stats last XF_GUARDED(xf_relay_lock); /* when it was closed */

    atomic_uint_fast64_t up, down;
    atomic_bool joined;

    /* The thread's. */
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* "": not listening */
    int listener;                                           /* -1: none, or no longer */
    int fd;                                                 /* the socket; -1: nobody yet */
    struct xf_chan *c;
    int stall_ms;  /* 0: nothing is ever overdue */
    bool owed;     /* something was passed on, and no answer has come since */
    int64_t moved; /* when anything last did, on xf_now_ms() */
    uint64_t in_network;
    uint8_t *out; /* received, not yet written to the socket: from at to end */
    size_t at, end;
    uint8_t *in;
    uint8_t *meta;
};

/* --- the thread; over: 1, in order --- */

static int unlisten(struct xf_relay *r)
{
    if (r->listener >= 0)
        close(r->listener);
    r->listener = -1;
    return r->path[0] ? unlink(r->path) : 0;
}

static int take_client(struct xf_relay *r, struct xf_err *err)
{
    int room = ROOM;

    r->fd = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (r->fd < 0)
        return errno == EAGAIN || errno == ECONNABORTED || errno == EINTR
                   ? 0
                   : xf_fail(err, errno, "a relay cannot accept: %s", strerror(errno));
    (void)setsockopt(r->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    atomic_store(&r->joined, true);
    unlisten(r); /* nobody else */
    r->path[0] = 0;
    r->owed = true; /* the server speaks first */
    r->moved = xf_now_ms();
    return 0;
}

static int send_end(struct xf_relay *r, struct xf_err *err)
{
    const struct xf_msg m = {.type = XF_MSG_DISK_END};

    return r->ops->send(r->c, &m, NULL, NULL, 0, err) ? -1 : 1;
}

/* From the socket to the channel: what is there, one message at most. */
static int pass_up(struct xf_relay *r, struct xf_err *err)
{
    struct xf_msg m = {.type = XF_MSG_DISK_BYTES};
    struct iovec iov;
    size_t n = 0;
    bool end = false;

    while (n < XF_RELAY_PIECE && !end) {
        ssize_t got = recv(r->fd, r->in + n, XF_RELAY_PIECE - n, MSG_DONTWAIT);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            break;
        end = got <= 0;
        n += end ? 0 : (size_t)got;
    }
    if (n) {
        m.payload_len = (uint32_t)n;
        iov = (struct iovec){r->in, n};
        if (r->ops->send(r->c, &m, NULL, &iov, 1, err))
            return -1;
        atomic_fetch_add(&r->up, n);
        r->owed = true;
        r->moved = xf_now_ms();
    }
    return end ? send_end(r, err) : 0;
}

static int take_message(struct xf_relay *r, struct xf_err *err)
{
    struct xf_msg m;
    struct iovec iov;
    int rc = r->ops->recv(r->c, &m, r->meta, 0, err);

    if (rc)
        return rc == XF_AGAIN ? 0 : -1;
    if (m.type == XF_MSG_DISK_END && !m.meta_len && !m.payload_len)
        return 1;
    if (m.type != XF_MSG_DISK_BYTES || m.meta_len || !m.payload_len ||
        m.payload_len > XF_RELAY_PIECE)
        return xf_fail(err, EPROTO, "a disk's channel has an invalid message (type %u, %u bytes)",
                       m.type, m.payload_len);
    iov = (struct iovec){r->out, m.payload_len};
    if (r->ops->recv_payload(r->c, &iov, 1, err))
        return -1;
    r->at = 0;
    r->end = m.payload_len;
    r->owed = false;
    r->moved = xf_now_ms();
    return 0;
}

/* To the socket, as much as it takes. */
static int pass_down(struct xf_relay *r, struct xf_err *err)
{
    while (r->at < r->end) {
        ssize_t n = send(r->fd, r->out + r->at, r->end - r->at, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n < 0)
            return send_end(r, err);
        r->at += (size_t)n;
        atomic_fetch_add(&r->down, (uint64_t)n);
        r->moved = xf_now_ms();
    }
    return 0;
}

static int check_overdue(struct xf_relay *r, struct xf_err *err)
{
    uint64_t now = r->ops->in_network ? r->ops->in_network(r->c) : UINT64_MAX;

    if (now != r->in_network)
        r->moved = xf_now_ms();
    r->in_network = now;
    if (r->owed && r->stall_ms && xf_now_ms() - r->moved > r->stall_ms)
        return xf_fail_link(err, ETIMEDOUT,
                            "the other host has not answered a disk's requests "
                            "within %d s",
                            r->stall_ms / 1000);
    return 0;
}

static int step(struct xf_relay *r, struct xf_err *err)
{
    bool full = r->at < r->end, ready = false;
    struct pollfd p[3] = {
        {.fd = r->wake, .events = POLLIN},
        {.fd = r->fd >= 0 ? r->fd : r->listener, .events = (short)(POLLIN | (full ? POLLOUT : 0))},
        {.fd = -1, .events = POLLIN}};
    int rc = 0;

    if (!full && r->fd >= 0)
        p[2].fd = r->ops->pollfd(r->c, &ready);
    if (poll(p, 3, ready ? 0 : LOOK_MS) < 0 && errno != EINTR)
        return xf_fail(err, errno, "a relay cannot wait: %s", strerror(errno));
    if (atomic_load(&r->aborted))
        return xf_fail(err, ECANCELED, "a disk's relay was given up on this side");
    if (r->fd < 0)
        return p[1].revents ? take_client(r, err) : 0;
    if (full && p[1].revents & (POLLOUT | POLLERR | POLLHUP))
        rc = pass_down(r, err);
    if (!rc && (ready || p[2].revents)) {
        rc = take_message(r, err);
        if (!rc)
            rc = pass_down(r, err);
    }
    if (!rc && p[1].revents & (POLLIN | POLLERR | POLLHUP))
        rc = pass_up(r, err);
    return rc ? rc : check_overdue(r, err);
}

/* Closing is what wakes QEMU; see relay.h. */
static void end(struct xf_relay *r, const struct xf_err *why)
{
    unlisten(r);
    r->path[0] = 0;
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
    xf_lock(&r->lock, xf_relay_lock);
    r->ops->stats(r->c, &r->last);
    r->ops->close(r->c);
    r->chan = r->c = NULL;
    r->why = *why;
    r->ended = true;
    pthread_cond_broadcast(&r->changed);
    xf_unlock(&r->lock, xf_relay_lock);
}

static void *run(void *arg)
{
    struct xf_relay *r = arg;
    struct xf_err err = {0};

    r->moved = xf_now_ms();
    while (!step(r, &err))
        ;
    end(r, &err);
    return NULL;
}

/* --- for its owner --- */

static void release(struct xf_relay *r)
{
    if (r->wake >= 0)
        close(r->wake);
    free(r->in);
    free(r->out);
    free(r->meta);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->changed);
    free(r);
}

XF_ALONE static struct xf_relay *make(const struct xf_transport_ops *ops, struct xf_chan *c,
                                      struct xf_err *err)
{
    struct xf_relay *r = calloc(1, sizeof(*r));

    if (!r) {
        xf_fail(err, ENOMEM, "no memory for a disk's relay");
        return NULL;
    }
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    r->ops = ops;
    r->chan = r->c = c;
    r->listener = r->fd = -1;
    r->in = malloc(XF_RELAY_PIECE);
    r->out = malloc(XF_RELAY_PIECE);
    r->meta = malloc(XF_META_MAX);
    r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->in && r->out && r->meta && r->wake >= 0)
        return r;
    xf_fail(err, r->wake < 0 ? errno : ENOMEM, "no memory or descriptor for a disk's relay");
    release(r);
    return NULL;
}

/* A socket that a killed process has left is in the way; anything else is not ours to remove. */
static int listen_at(struct xf_relay *r, const char *path, struct xf_err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct stat st;

    if (snprintf(a.sun_path, sizeof(a.sun_path), "%s", path) >= (int)sizeof(a.sun_path))
        return xf_fail(err, ENAMETOOLONG, "the path %s is too long for a socket", path);
    r->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (r->listener < 0)
        return xf_fail(err, errno, "no descriptor: %s", strerror(errno));
    if (!lstat(path, &st) && S_ISSOCK(st.st_mode))
        unlink(path);
    /* bind() gives the file the socket's mode, so it is never anybody else's. */
    if (fchmod(r->listener, 0600) || bind(r->listener, (struct sockaddr *)&a, sizeof(a)))
        return xf_fail(err, errno, "cannot make the socket %s: %s", path, strerror(errno));
    snprintf(r->path, sizeof(r->path), "%s", path);
    if (listen(r->listener, 1))
        return xf_fail(err, errno, "cannot listen at %s: %s", path, strerror(errno));
    return 0;
}

static int begin(struct xf_relay *r, struct xf_err *err)
{
    int num = pthread_create(&r->thread, NULL, run, r);

    return num ? xf_fail(err, num, "cannot start a disk's relay: %s", strerror(num)) : 0;
}

int xf_relay_listen(struct xf_relay **out, const char *path, const struct xf_transport_ops *ops,
                    struct xf_chan *c, int stall_ms, struct xf_err *err)
{
    struct xf_relay *r = make(ops, c, err);

    if (!r)
        return -1;
    r->stall_ms = stall_ms;
    if (listen_at(r, path, err) || begin(r, err)) {
        unlisten(r);
        release(r);
        return -1;
    }
    *out = r;
    return 0;
}

int xf_relay_join(struct xf_relay **out, int fd, const struct xf_transport_ops *ops,
                  struct xf_chan *c, struct xf_err *err)
{
    struct xf_relay *r = make(ops, c, err);
    int room = ROOM;

    if (!r)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    r->fd = fd;
    atomic_store(&r->joined, true);
    if (begin(r, err)) {
        release(r);
        return -1;
    }
    *out = r;
    return 0;
}

void xf_relay_look(struct xf_relay *r, struct xf_relay_look *out)
{
    struct xf_chan_stats stats;

    xf_lock(&r->lock, xf_relay_lock);
    stats = r->last;
    if (r->chan)
        r->ops->stats(r->chan, &stats);
    xf_unlock(&r->lock, xf_relay_lock);
    *out = (struct xf_relay_look){.up = atomic_load(&r->up),
                                  .down = atomic_load(&r->down),
                                  .wire = stats.tx_bytes + stats.rx_bytes,
                                  .joined = atomic_load(&r->joined)};
}

int xf_relay_ended(struct xf_relay *r, int timeout_ms, struct xf_err *err)
{
    struct timespec until = xf_time_in(timeout_ms);
    struct xf_err why;
    bool ended;

    xf_lock(&r->lock, xf_relay_lock);
    while (!r->ended &&
           pthread_cond_clockwait(&r->changed, &r->lock, CLOCK_MONOTONIC, &until) != ETIMEDOUT)
        ;
    ended = r->ended;
    why = r->why;
    xf_unlock(&r->lock, xf_relay_lock);
    if (!ended)
        return XF_AGAIN;
    return why.num ? xf_fail_as(err, &why, "%s", why.text) : 0;
}

void xf_relay_abort(struct xf_relay *r)
{
    const uint64_t one = 1;

    atomic_store(&r->aborted, true);
    if (write(r->wake, &one, sizeof(one)) < 0) {
        /* it is full: readable already */
    }
    xf_lock(&r->lock, xf_relay_lock);
    if (r->chan)
        r->ops->abort(r->chan);
    xf_unlock(&r->lock, xf_relay_lock);
}

void xf_relay_close(struct xf_relay *r)
{
    if (!r)
        return;
    xf_relay_abort(r);
    pthread_join(r->thread, NULL);
    release(r);
}
