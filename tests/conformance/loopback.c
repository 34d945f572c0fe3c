/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A transport within one process: see loopback.h. One lock and one condition for everything: every
 * event awaited here is caused by another thread of this process, within microseconds.
 */
#include "tests/conformance/loopback.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "transport/clock.h"
#include "transport/frame.h"
#include "transport/iter.h"
#include "transport/lookup.h"
#include "transport/wire.h"

#define CAPACITY (2u << 20) /* of one direction: about what TCP holds on one machine */
#define FAULTS_MAX 16

/* One direction of a channel. */
struct stream {
    uint8_t *bytes; /* a ring */
    size_t at, len;
    uint64_t in, out;  /* bytes so far */
    unsigned messages; /* sent so far */
    bool closed;       /* the sender has closed in order */
    bool deaf;         /* the receiver has closed */
    int readable;      /* eventfd: raised while the receiver has something to receive or learn */
};

struct wire {
    struct wire *next;
    struct stream dir[2]; /* 0: from the source, 1: from the sink */
    unsigned ends;        /* not closed yet */
    unsigned index;
    enum xf_fault_kind cut; /* 0, KILL or SILENCE */
    struct xf_loopback_fault faults[FAULTS_MAX];
    unsigned nr_faults;
};

struct xf_chan {
    struct wire *w;
    struct stream *tx, *rx;
    unsigned index;
    int stall_ms;
    bool aborted;
    uint32_t payload_left;
};

/* One connect() that waits for its answer. */
struct call {
    struct call *next;
    const struct xf_link_cfg *cfg;
    struct xf_chan_hello hello;
    struct xf_chan *chan; /* of the source, if it was accepted */
    struct xf_err err;
    bool answered;
};

struct xf_listener {
    struct xf_listener *next;
    struct xf_link_cfg cfg;
    uint16_t port;
    struct call *calls; /* the oldest first */
    uint32_t taken;
    bool aborted;
};

static struct {
    pthread_mutex_t lock;
    pthread_once_t once;
    pthread_cond_t changed;
    struct xf_listener *listeners;
    struct wire *wires;
    uint16_t last_port;
    struct xf_loopback_fault faults[FAULTS_MAX];
    unsigned nr_faults, hits;
} net = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT, .last_port = 40000};

static void init(void)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&net.changed, &attr);
    pthread_condattr_destroy(&attr);
}

static void enter(void)
{
    pthread_once(&net.once, init);
    pthread_mutex_lock(&net.lock);
}

static void leave(void)
{
    pthread_mutex_unlock(&net.lock);
}

/* Everything below is called with the lock held, unless stated otherwise. */

/* Wait until something changes; false: the deadline (xf_now_ms(), < 0: none) has passed. */
static bool pause_until(int64_t deadline)
{
    struct timespec t;

    if (deadline < 0)
        return pthread_cond_wait(&net.changed, &net.lock) == 0;
    t = (struct timespec){deadline / 1000, deadline % 1000 * 1000000};
    return pthread_cond_timedwait(&net.changed, &net.lock, &t) != ETIMEDOUT;
}

static int64_t deadline_in(int ms)
{
    return ms < 0 ? -1 : xf_now_ms() + ms;
}

static void tell(const struct wire *w)
{
    for (int i = 0; w && i < 2; i++) {
        const struct stream *s = &w->dir[i];
        uint64_t n = 1;
        ssize_t done;

        if (s->len || s->closed || s->deaf || w->cut == XF_FAULT_KILL)
            done = write(s->readable, &n, sizeof(n));
        else
            done = read(s->readable, &n, sizeof(n));
        (void)done; /* full or empty: already in the wanted state */
    }
    pthread_cond_broadcast(&net.changed);
}

/* --- faults --- */

static void cut(enum xf_fault_kind kind)
{
    for (struct wire *w = net.wires; w; w = w->next) {
        w->cut = kind;
        tell(w);
    }
}

void xf_loopback_faults(const struct xf_loopback_fault *list, unsigned n)
{
    enter();
    net.nr_faults = n < FAULTS_MAX ? n : FAULTS_MAX;
    if (n)
        memcpy(net.faults, list, net.nr_faults * sizeof(*list));
    net.hits = 0;
    leave();
}

unsigned xf_loopback_hits(void)
{
    unsigned hits;

    enter();
    hits = net.hits;
    leave();
    return hits;
}

unsigned xf_loopback_messages(unsigned channel, bool from_sink)
{
    const struct wire *w;
    unsigned n;

    enter();
    for (w = net.wires; w && w->index != channel; w = w->next)
        ;
    n = w ? w->dir[from_sink].messages : 0;
    leave();
    return n;
}

void xf_loopback_cut(enum xf_fault_kind kind)
{
    enter();
    cut(kind);
    leave();
}

static const struct xf_loopback_fault *fault_of(const struct wire *w, const struct stream *s)
{
    for (unsigned i = 0; i < w->nr_faults; i++) {
        const struct xf_loopback_fault *f = &w->faults[i];

        if (f->channel == w->index && f->from_sink == (s == &w->dir[1]) &&
            f->message == s->messages) {
            net.hits++;
            return f;
        }
    }
    return NULL;
}

/* --- bytes --- */

static int check_alive(const struct xf_chan *c, struct xf_err *err)
{
    if (c->aborted)
        return xf_fail_link(err, ECANCELED, "loopback channel %u: given up on this side", c->index);
    if (c->w->cut == XF_FAULT_KILL)
        return xf_fail_link(err, ECONNRESET, "loopback channel %u: the line was cut", c->index);
    return 0;
}

static int stalled(const struct xf_chan *c, const char *did, struct xf_err *err)
{
    return xf_fail_link(err, ETIMEDOUT, "loopback channel %u: the peer has %s nothing for %d ms",
                        c->index, did, c->stall_ms);
}

static int put(struct xf_chan *c, const uint8_t *bytes, size_t len, struct xf_err *err)
{
    struct stream *s = c->tx;
    int64_t deadline = deadline_in(c->stall_ms > 0 ? c->stall_ms : -1);
    uint64_t taken = s->out;

    while (len) {
        size_t room = c->w->cut ? 0 : CAPACITY - s->len;
        size_t to = (s->at + s->len) % CAPACITY;

        if (check_alive(c, err))
            return -1;
        if (s->deaf && !c->w->cut)
            return xf_fail_link(err, ECONNRESET, "loopback channel %u: the peer is gone", c->index);
        if (!room) {
            if (s->out != taken) {
                taken = s->out;
                deadline = deadline_in(c->stall_ms > 0 ? c->stall_ms : -1);
            }
            if (!pause_until(deadline))
                return stalled(c, "taken", err);
            continue;
        }
        room = room < len ? room : len;
        room = room < CAPACITY - to ? room : CAPACITY - to;
        memcpy(s->bytes + to, bytes, room);
        s->len += room;
        s->in += room;
        bytes += room;
        len -= room;
        tell(c->w);
    }
    return 0;
}

/* Wait for a byte. within: a message has begun, so that the peer must go on. */
static int await(struct xf_chan *c, bool within, int timeout_ms, struct xf_err *err)
{
    /* A line that stays silent is detected, as TCP's keep-alives would detect it. */
    bool patience = within || (timeout_ms < 0 && c->w->cut == XF_FAULT_SILENCE);
    int64_t deadline = deadline_in(!patience ? timeout_ms : c->stall_ms > 0 ? c->stall_ms : -1);

    for (;;) {
        if (check_alive(c, err))
            return -1;
        if (c->rx->len)
            return 0;
        if (c->rx->closed && !c->w->cut)
            return xf_fail_link(err, ECONNRESET,
                                "loopback channel %u: the peer closed the connection", c->index);
        if (!patience && timeout_ms < 0 && c->w->cut == XF_FAULT_SILENCE)
            return await(c, true, -1, err);
        if (!pause_until(deadline))
            return patience ? stalled(c, "sent", err) : XF_AGAIN;
    }
}

static int get(struct xf_chan *c, struct xf_iter *to, struct xf_err *err)
{
    struct stream *s = c->rx;

    while (to->left) {
        size_t n;

        if (await(c, true, -1, err))
            return -1;
        n = s->len < CAPACITY - s->at ? s->len : CAPACITY - s->at;
        n = xf_iter_scatter(to, s->bytes + s->at, n);
        s->at = (s->at + n) % CAPACITY;
        s->len -= n;
        s->out += n;
        tell(c->w);
    }
    return 0;
}

/* --- messages --- */

/* Without the lock. */
static size_t compose(uint8_t *out, const struct xf_msg *m, const void *meta,
                      const struct iovec *iov, int niov)
{
    struct xf_iter it = xf_iter(iov, niov, m->payload_len);

    if (m->meta_len)
        memcpy(out + XF_FRAME_BYTES, meta, m->meta_len);
    return XF_FRAME_BYTES + m->meta_len +
           xf_iter_gather(&it, out + XF_FRAME_BYTES + m->meta_len, m->payload_len);
}

static int send_faulty(struct xf_chan *c, const struct xf_loopback_fault *f, uint8_t *bytes,
                       size_t len, struct xf_err *err)
{
    size_t arg = f->arg < len ? f->arg : len;

    switch (f->kind) {
    case XF_FAULT_DROP:
        return 0;
    case XF_FAULT_DUPLICATE:
        return put(c, bytes, len, err) || put(c, bytes, len, err) ? -1 : 0;
    case XF_FAULT_DELAY:
        leave();
        usleep(f->arg * 1000);
        enter();
        break;
    case XF_FAULT_TRUNCATE:
        len -= arg;
        break;
    case XF_FAULT_CORRUPT:
        bytes[arg < len ? arg : len - 1] ^= 0x10;
        break;
    case XF_FAULT_KILL:
    case XF_FAULT_SILENCE:
        if (put(c, bytes, arg, err))
            return -1;
        cut(f->kind);
        bytes += arg;
        len -= arg;
        break;
    }
    return put(c, bytes, len, err);
}

/* Not composed first: a block of its size for each message costs the sanitized programs more than
 * all else here. */
static int send_whole(struct xf_chan *c, const uint8_t *frame, const struct xf_msg *m,
                      const void *meta, const struct iovec *iov, int niov, struct xf_err *err)
{
    if (put(c, frame, XF_FRAME_BYTES, err) || put(c, meta, m->meta_len, err))
        return -1;
    for (int i = 0; i < niov; i++)
        if (put(c, iov[i].iov_base, iov[i].iov_len, err))
            return -1;
    return 0;
}

static int send_composed(struct xf_chan *c, const struct xf_loopback_fault *f, const uint8_t *frame,
                         const struct xf_msg *m, const void *meta, const struct iovec *iov,
                         int niov, struct xf_err *err)
{
    uint8_t *bytes = malloc(XF_FRAME_BYTES + m->meta_len + m->payload_len);
    int rc;

    if (!bytes)
        return xf_fail(err, ENOMEM, "no memory for a message");
    memcpy(bytes, frame, XF_FRAME_BYTES);
    rc = send_faulty(c, f, bytes, compose(bytes, m, meta, iov, niov), err);
    free(bytes);
    return rc;
}

static int loop_send(struct xf_chan *c, const struct xf_msg *m, const void *meta,
                     const struct iovec *iov, int niov, struct xf_err *err)
{
    const struct xf_loopback_fault *f;
    uint8_t frame[XF_FRAME_BYTES];
    uint64_t sum;
    int rc;

    if (xf_iov_sum(iov, niov, &sum, err))
        return -1;
    if (sum != m->payload_len && m->payload_len <= XF_PAYLOAD_MAX)
        return xf_fail(err, EINVAL, "%llu bytes given for a payload of %u", (unsigned long long)sum,
                       m->payload_len);
    if (xf_frame_encode(frame, m, meta, err))
        return -1;
    enter();
    c->tx->messages++;
    f = fault_of(c->w, c->tx);
    rc = f ? send_composed(c, f, frame, m, meta, iov, niov, err)
           : send_whole(c, frame, m, meta, iov, niov, err);
    leave();
    return rc;
}

static int receive(struct xf_chan *c, struct xf_msg *m, void *meta, int timeout_ms,
                   struct xf_err *err)
{
    uint8_t frame[XF_FRAME_BYTES];
    struct iovec v = {frame, sizeof(frame)};
    struct xf_iter it = xf_iter(&v, 1, sizeof(frame));
    int rc = await(c, false, timeout_ms, err);

    if (rc)
        return rc;
    if (get(c, &it, err) || xf_frame_decode(m, frame, err))
        return -1;
    v = (struct iovec){meta, m->meta_len};
    it = xf_iter(&v, 1, m->meta_len);
    if (get(c, &it, err) || xf_frame_check(frame, m, meta, err))
        return -1;
    c->payload_left = m->payload_len;
    return 0;
}

static int loop_recv(struct xf_chan *c, struct xf_msg *m, void *meta, int timeout_ms,
                     struct xf_err *err)
{
    int rc;

    if (c->payload_left)
        return xf_fail(err, EINVAL, "%u bytes of payload were not received", c->payload_left);
    enter();
    rc = receive(c, m, meta, timeout_ms, err);
    leave();
    return rc;
}

static int loop_recv_payload(struct xf_chan *c, const struct iovec *iov, int niov,
                             struct xf_err *err)
{
    struct xf_iter it;
    uint64_t sum;
    int rc;

    if (xf_iov_sum(iov, niov, &sum, err))
        return -1;
    if (sum > c->payload_left)
        return xf_fail(err, EINVAL, "%llu bytes wanted of %u", (unsigned long long)sum,
                       c->payload_left);
    it = xf_iter(iov, niov, (size_t)sum);
    enter();
    rc = get(c, &it, err);
    leave();
    c->payload_left -= rc ? 0 : (uint32_t)sum;
    return rc;
}

static int loop_pollfd(struct xf_chan *c, bool *ready)
{
    *ready = false;
    return c->rx->readable;
}

static void loop_abort(struct xf_chan *c)
{
    enter();
    c->aborted = true;
    pthread_cond_broadcast(&net.changed);
    leave();
}

static void loop_stats(const struct xf_chan *c, struct xf_chan_stats *out)
{
    enter();
    *out = (struct xf_chan_stats){.tx_bytes = c->tx->in, .rx_bytes = c->rx->out};
    leave();
}

/* --- channels --- */

static void wire_free(struct wire *w)
{
    for (struct wire **p = &net.wires; *p; p = &(*p)->next)
        if (*p == w) {
            *p = w->next;
            break;
        }
    for (int i = 0; i < 2; i++) {
        if (w->dir[i].readable >= 0)
            close(w->dir[i].readable);
        free(w->dir[i].bytes);
    }
    free(w);
}

static struct wire *wire_new(unsigned index)
{
    struct wire *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    w->index = index;
    w->ends = 2;
    for (int i = 0; i < 2; i++) {
        w->dir[i].bytes = malloc(CAPACITY);
        w->dir[i].readable = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    if (!w->dir[0].bytes || !w->dir[1].bytes || w->dir[0].readable < 0 || w->dir[1].readable < 0) {
        wire_free(w);
        return NULL;
    }
    memcpy(w->faults, net.faults, sizeof(w->faults));
    w->nr_faults = net.nr_faults;
    w->next = net.wires;
    net.wires = w;
    return w;
}

static struct xf_chan *chan_new(struct wire *w, bool sink, const struct xf_link_cfg *cfg)
{
    struct xf_chan *c = calloc(1, sizeof(*c));

    if (!c)
        abort();
    c->w = w;
    c->tx = &w->dir[sink];
    c->rx = &w->dir[!sink];
    c->index = w->index;
    c->stall_ms = cfg->stall_ms;
    return c;
}

static void loop_close(struct xf_chan *c)
{
    if (!c)
        return;
    enter();
    c->tx->closed = c->rx->deaf = true;
    tell(c->w);
    if (--c->w->ends == 0)
        wire_free(c->w);
    leave();
    free(c);
}

/* --- listening and connecting --- */

/* Is this one of the loopback's addresses? */
static int check_here(const char *addr, int flags, struct xf_err *err)
{
    struct addrinfo *found, *a;
    bool here = false;

    if (xf_lookup(addr, 1, flags, AF_UNSPEC, &found, err))
        return -1;
    for (a = found; a; a = a->ai_next) {
        if (a->ai_family == AF_INET)
            here |= ntohl(((struct sockaddr_in *)(void *)a->ai_addr)->sin_addr.s_addr) >> 24 == 127;
        else if (a->ai_family == AF_INET6)
            here |= IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)(void *)a->ai_addr)->sin6_addr);
    }
    freeaddrinfo(found);
    return here ? 0 : xf_fail(err, EADDRNOTAVAIL, "%s is not on the loopback", addr);
}

static int loop_listen(const struct xf_link_cfg *cfg, const char *addr, uint16_t port,
                       struct xf_listener **out, uint16_t *port_out, struct xf_err *err)
{
    struct xf_listener *l;

    if (xf_link_cfg_check(cfg, err) || (addr && check_here(addr, AI_NUMERICHOST, err)))
        return -1;
    l = calloc(1, sizeof(*l));
    if (!l)
        return xf_fail(err, ENOMEM, "no memory for a listener");
    enter();
    l->cfg = *cfg;
    l->port = port ? port : ++net.last_port;
    l->next = net.listeners;
    net.listeners = l;
    leave();
    *port_out = l->port;
    *out = l;
    return 0;
}

static void answer(struct call *call)
{
    call->answered = true;
    pthread_cond_broadcast(&net.changed);
}

static void loop_unlisten(struct xf_listener *l)
{
    if (!l)
        return;
    enter();
    for (struct xf_listener **p = &net.listeners; *p; p = &(*p)->next)
        if (*p == l) {
            *p = l->next;
            break;
        }
    for (struct call *c = l->calls; c; c = c->next) {
        xf_fail_link(&c->err, ECONNRESET, "the sink does not listen any more");
        answer(c);
    }
    leave();
    free(l);
}

static void loop_abort_accept(struct xf_listener *l)
{
    enter();
    l->aborted = true;
    pthread_cond_broadcast(&net.changed);
    leave();
}

/* Decide on one caller. 1: nothing that the sink is told of. */
static int judge(struct xf_listener *l, struct call *call, struct xf_chan **out,
                 struct xf_chan_id *id, struct xf_err *err)
{
    const struct xf_chan_hello ours = xf_chan_hello_ours(&l->cfg, call->hello.id);
    enum xf_chan_hello_status verdict;
    struct wire *w;

    if (memcmp(l->cfg.key, call->cfg->key, sizeof(*l->cfg.key))) {
        xf_fail_peer(&call->err, EACCES, "the peer refuses our one-time key");
        return 1;
    }
    verdict = xf_chan_hello_judge(&ours, &call->hello, l->taken);
    if (verdict != XF_HELLO_WELCOME) {
        xf_chan_hello_refused(verdict, &call->hello, &ours, &call->err);
        return xf_chan_hello_refused(verdict, &ours, &call->hello, err);
    }
    w = wire_new(xf_chan_index(call->hello.id, call->hello.channels));
    if (!w) {
        xf_fail(&call->err, ENOMEM, "no memory for a channel");
        return xf_fail(err, ENOMEM, "no memory for a channel");
    }
    l->taken = xf_chan_hello_take(l->taken, call->hello.id);
    call->chan = chan_new(w, false, call->cfg);
    *out = chan_new(w, true, &l->cfg);
    *id = call->hello.id;
    return 0;
}

static int loop_accept(struct xf_listener *l, int timeout_ms, struct xf_chan **out,
                       struct xf_chan_id *id, struct xf_err *err)
{
    int64_t deadline = deadline_in(timeout_ms);
    int rc = 1;

    enter();
    while (rc == 1) {
        struct call *call = l->calls;

        if (l->aborted) {
            rc = xf_fail(err, ECANCELED, "this side gave up waiting for the peer");
        } else if (call) {
            l->calls = call->next;
            rc = judge(l, call, out, id, err);
            answer(call);
        } else if (!pause_until(deadline)) {
            leave();
            return XF_AGAIN;
        }
    }
    leave();
    return rc;
}

static struct xf_listener *listener_at(uint16_t port)
{
    struct xf_listener *l = net.listeners;

    while (l && l->port != port)
        l = l->next;
    return l;
}

/* The call will not be answered any more: remove it. */
static void withdraw(uint16_t port, struct call *call)
{
    struct xf_listener *l = listener_at(port);

    for (struct call **p = l ? &l->calls : NULL; p && *p; p = &(*p)->next)
        if (*p == call) {
            *p = call->next;
            break;
        }
}

static int loop_connect(const struct xf_link_cfg *cfg, const char *host, uint16_t port,
                        const char *src, struct xf_chan_id id, struct xf_chan **out,
                        struct xf_err *err)
{
    struct call call = {.cfg = cfg, .hello = xf_chan_hello_ours(cfg, id)};
    int64_t deadline = xf_now_ms() + cfg->timeout_ms;
    struct xf_listener *l;
    struct call **last;

    if (xf_link_cfg_check(cfg, err) || check_here(host, 0, err) ||
        (src && check_here(src, AI_NUMERICHOST, err)))
        return -1;
    enter();
    l = listener_at(port);
    if (!l) {
        leave();
        return xf_fail_link(err, ECONNREFUSED, "nobody listens on the loopback's port %u", port);
    }
    for (last = &l->calls; *last; last = &(*last)->next)
        ;
    *last = &call;
    pthread_cond_broadcast(&net.changed);
    while (!call.answered && pause_until(deadline))
        ;
    if (!call.answered) {
        withdraw(port, &call);
        xf_fail_link(&call.err, ETIMEDOUT, "nobody accepts on the loopback's port %u", port);
    }
    leave();
    *out = call.chan;
    return call.chan ? 0 : xf_fail_as(err, &call.err, "%s", call.err.text);
}

const struct xf_transport_ops xf_loopback_ops = {
    .name = "loopback",
    .listen = loop_listen,
    .accept = loop_accept,
    .abort_accept = loop_abort_accept,
    .unlisten = loop_unlisten,
    .connect = loop_connect,
    .send = loop_send,
    .recv = loop_recv,
    .recv_payload = loop_recv_payload,
    .pollfd = loop_pollfd,
    .abort = loop_abort,
    .stats = loop_stats,
    .close = loop_close,
};
