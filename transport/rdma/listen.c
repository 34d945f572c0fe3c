/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sink's side of making connections. accept() drives a small table of unfinished
 * handshakes with one poll(), so that a slow or hostile peer holds up nobody; both the
 * table and each handshake's time are bounded. A stranger gets a queue pair and a page of
 * memory until he has proved that he knows the key; the ring comes after that.
 */
#include "transport/rdma/rdma.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "transport/clock.h"
#include "transport/lookup.h"

#define PENDING_MAX 32 /* a whole move of 17 channels may come at once */

struct pending {
    struct xf_rdma_hs hs; /* hs.c == NULL: free */
    int64_t deadline;
};

struct xf_listener {
    struct rdma_event_channel *cm;
    struct rdma_cm_id *id;
    int wake;
    atomic_bool aborted;
    struct xf_link_cfg cfg;
    uint32_t taken; /* bit n: channel n is connected */
    struct pending pending[PENDING_MAX];
};

static int bind_to(struct xf_listener *l, const struct sockaddr *sa, struct xf_err *err)
{
    l->id = xf_cm_id(l->cm, NULL, err);
    if (!l->id)
        return -1;
    if (rdma_bind_addr(l->id, (struct sockaddr *)sa) || rdma_listen(l->id, 64)) {
        xf_fail(err, errno, errno == ENODEV ? "no RDMA device has this address: %s" : "%s",
                strerror(errno));
        rdma_destroy_id(l->id);
        l->id = NULL;
        return -1;
    }
    return 0;
}

/* Every address: one IPv6 id takes IPv4 as well, unless the machine has no IPv6. */
static int listen_any(struct xf_listener *l, uint16_t port, struct xf_err *err)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct ibv_device **list;
    struct xf_err first = {0};
    int nr = 0;

    list = ibv_get_device_list(&nr);
    if (list)
        ibv_free_device_list(list);
    if (nr == 0) /* rdma_cm would listen all the same */
        return xf_fail(err, ENODEV, "this machine has no RDMA device");
    if (bind_to(l, (struct sockaddr *)&six, &first) == 0)
        return 0;
    if (first.num == EAFNOSUPPORT || first.num == EADDRNOTAVAIL)
        return bind_to(l, (struct sockaddr *)&four, err);
    return xf_fail(err, first.num, "%s", first.text);
}

static int listen_at(struct xf_listener *l, const char *addr, uint16_t port, struct xf_err *err)
{
    struct addrinfo *ai;
    int rc;

    if (xf_lookup(addr, port, AI_NUMERICHOST, AF_UNSPEC, &ai, err))
        return -1;
    rc = bind_to(l, ai->ai_addr, err);
    freeaddrinfo(ai);
    return rc;
}

int xf_rdma_listen(const struct xf_link_cfg *cfg, const char *addr, uint16_t port,
                   struct xf_listener **out, uint16_t *port_out, struct xf_err *err)
{
    struct xf_listener *l;

    if (xf_rdma_check(cfg, err))
        return -1;
    l = calloc(1, sizeof(*l));
    if (!l)
        return xf_fail(err, ENOMEM, "no memory for a listener");
    l->cfg = *cfg;
    l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->wake < 0) {
        xf_fail(err, errno, "listening: %s", strerror(errno));
        goto err_free;
    }
    l->cm = xf_cm_channel(err);
    if (!l->cm)
        goto err_free;
    if (addr ? listen_at(l, addr, port, err) : listen_any(l, port, err)) {
        xf_wrap(err, "listening over RDMA on %s port %u", addr ? addr : "every address", port);
        goto err_free;
    }
    *port_out = ntohs(rdma_get_src_port(l->id));
    *out = l;
    return 0;

err_free:
    xf_rdma_unlisten(l);
    return -1;
}

void xf_rdma_unlisten(struct xf_listener *l)
{
    int i;

    if (!l)
        return;
    for (i = 0; i < PENDING_MAX; i++)
        if (l->pending[i].hs.c)
            xf_rdma_hs_cancel(&l->pending[i].hs);
    if (l->id)
        rdma_destroy_id(l->id);
    if (l->cm)
        rdma_destroy_event_channel(l->cm);
    if (l->wake >= 0)
        close(l->wake);
    gnutls_memset(&l->cfg, 0, sizeof(l->cfg));
    free(l);
}

void xf_rdma_abort_accept(struct xf_listener *l)
{
    uint64_t one = 1;

    atomic_store_explicit(&l->aborted, true, memory_order_release);
    if (write(l->wake, &one, sizeof(one)) < 0)
        return; /* full, so it is readable already */
}

/* A free place, if need be that of the oldest: who floods us pushes out his own first. */
static struct pending *place(struct xf_listener *l)
{
    struct pending *oldest = &l->pending[0];
    int i;

    for (i = 0; i < PENDING_MAX; i++) {
        struct pending *p = &l->pending[i];

        if (!p->hs.c)
            return p;
        if (p->deadline < oldest->deadline)
            oldest = p;
    }
    xf_rdma_hs_cancel(&oldest->hs);
    return oldest;
}

static struct pending *find(struct xf_listener *l, const struct rdma_cm_id *id)
{
    int i;

    for (i = 0; i < PENDING_MAX; i++)
        if (l->pending[i].hs.c && l->pending[i].hs.c->id == id)
            return &l->pending[i];
    return NULL;
}

static void name_peer(struct xf_chan *c)
{
    char host[48] = "?", port[8] = "?";
    const struct sockaddr *sa = rdma_get_peer_addr(c->id);

    getnameinfo(
        sa, sa->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in),
        host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
    /* a dual-stack listener sees IPv4 peers as ::ffff:192.0.2.1: no operator knows them so */
    snprintf(c->who, sizeof(c->who), "%s port %s",
             strncmp(host, "::ffff:", 7) || !strchr(host, '.') ? host : host + 7, port);
}

/* A new connection. Fails only if this side cannot serve any. */
static int take_new(struct xf_listener *l, struct rdma_cm_id *id, bool ours, struct xf_err *err)
{
    uint8_t greeting[XF_GREETING_BYTES];
    struct rdma_conn_param param;
    struct pending *p;
    struct xf_chan *c;

    xf_rdma_conn_param(&param, greeting);
    if (!ours) { /* with our version, so that a later one can say what is wrong */
        rdma_reject(id, greeting, sizeof(greeting));
        rdma_destroy_id(id);
        return 0;
    }
    p = place(l);
    c = xf_rdma_chan_new(&l->cfg, id, false, err);
    if (!c)
        return -1;
    name_peer(c);
    xf_rdma_hs_init(&p->hs, c, &l->cfg, true, &l->taken);
    p->deadline = xf_now_ms() + l->cfg.timeout_ms;
    xf_rdma_ack_timeout(id, l->cfg.stall_ms);
    if (xf_rdma_qp_open(c, &l->cfg, err)) {
        xf_rdma_hs_cancel(&p->hs);
        return -1;
    }
    if (rdma_accept(id, &param)) /* he may have gone away meanwhile */
        xf_rdma_hs_cancel(&p->hs);
    else
        c->connected = true;
    return 0;
}

/* What rdma_cm has to say. */
static int take_events(struct xf_listener *l, struct xf_err *err)
{
    struct rdma_cm_event *ev;
    int rc;

    while ((rc = xf_cm_next(l->cm, &ev, err)) == 0) {
        enum rdma_cm_event_type type = ev->event;
        struct rdma_cm_id *id = ev->id;
        uint16_t version;
        bool ours = type == RDMA_CM_EVENT_CONNECT_REQUEST &&
                    xf_greeting_decode(&version, ev->param.conn.private_data,
                                       ev->param.conn.private_data_len) == 0;
        struct pending *p = find(l, id);

        rdma_ack_cm_event(ev);
        if (type == RDMA_CM_EVENT_CONNECT_REQUEST) {
            if (take_new(l, id, ours, err))
                return -1;
        } else if (type == RDMA_CM_EVENT_DEVICE_REMOVAL && id == l->id) {
            return xf_fail(err, ENODEV, "listening: the RDMA device was removed");
        } else if (p && type != RDMA_CM_EVENT_ESTABLISHED) {
            xf_rdma_hs_cancel(&p->hs);
        }
    }
    return rc < 0 ? -1 : 0;
}

/* Out of the listener's hands: events of its own from here on. */
static int finish(struct pending *p, struct xf_chan **out, unsigned *index, struct xf_err *err)
{
    struct xf_chan *c = p->hs.c;
    struct rdma_event_channel *cm = xf_cm_channel(err);
    char peer[sizeof(c->who)];

    if (!cm)
        return -1;
    if (rdma_migrate_id(c->id, cm)) {
        xf_fail(err, errno, "%s: events of its own: %s", c->who, strerror(errno));
        rdma_destroy_event_channel(cm);
        return -1;
    }
    c->cm = cm;
    if (xf_rdma_chan_open(c, err))
        return -1;
    memcpy(peer, c->who, sizeof(peer));
    snprintf(c->who, sizeof(c->who), "channel %u from %.70s", c->index, peer);
    *out = c;
    *index = c->index;
    p->hs.c = NULL;
    return 1;
}

/* 1: a channel is open, 0: not yet or dropped, -1: a peer who knows the key was refused. */
static int step(struct pending *p, struct xf_chan **out, unsigned *index, struct xf_err *err)
{
    struct xf_err why = {0};
    bool known;
    int rc;

    xf_rdma_take_events(p->hs.c);
    rc = xf_rdma_hs_step(&p->hs, &why);
    if (rc == 1)
        rc = finish(p, out, index, &why);
    if (rc >= 0)
        return rc;
    known = p->hs.authentic;
    xf_rdma_hs_cancel(&p->hs);
    if (!known) /* a stranger, or one who went away: no business of the caller's */
        return 0;
    return xf_fail(err, why.num, "%s", why.text);
}

int xf_rdma_accept(struct xf_listener *l, int timeout_ms, struct xf_chan **out, unsigned *index,
                   struct xf_err *err)
{
    int64_t deadline = timeout_ms < 0 ? -1 : xf_now_ms() + timeout_ms;
    struct pollfd fds[2 + PENDING_MAX];
    int i, n, rc, wait, left;

    for (;;) {
        fds[0] = (struct pollfd){.fd = l->wake, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = l->cm->fd, .events = POLLIN};
        wait = xf_ms_left(deadline);
        for (i = 0; i < PENDING_MAX; i++) {
            struct pending *p = &l->pending[i];

            fds[2 + i] = (struct pollfd){.fd = p->hs.c ? p->hs.c->comp->fd : -1, .events = POLLIN};
            left = p->hs.c ? xf_ms_left(p->deadline) : -1;
            if (left >= 0 && (wait < 0 || left < wait))
                wait = left;
        }
        n = poll(fds, 2 + PENDING_MAX, wait);
        if (n < 0 && errno != EINTR)
            return xf_fail(err, errno, "accepting connections: poll: %s", strerror(errno));
        if (atomic_load_explicit(&l->aborted, memory_order_acquire))
            return xf_fail(err, ECANCELED, "waiting for the peer was given up on this side");
        for (i = 0; i < PENDING_MAX; i++) {
            struct pending *p = &l->pending[i];

            if (!p->hs.c)
                continue;
            if (n > 0 && fds[2 + i].revents) {
                rc = step(p, out, index, err);
                if (rc)
                    return rc < 0 ? -1 : 0;
            } else if (xf_ms_left(p->deadline) == 0) {
                xf_rdma_hs_cancel(&p->hs);
            }
        }
        if (n > 0 && fds[1].revents && take_events(l, err))
            return -1;
        if (xf_ms_left(deadline) == 0) /* whatever strangers keep us busy with */
            return XF_AGAIN;
    }
}
