/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sink's side of making connections: the listening id, and the handshake ops for the table of
 * transport/handshakes.h. A peer that has not yet proved that it knows the key gets a queue pair
 * and a page of memory; the ring follows after that.
 */
#include "transport/rdma/rdma.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/handshakes.h"
#include "transport/lookup.h"

/* Requests that the kernel queues until they are taken: see transport/tcp/listen.c. */
#define BACKLOG 256

struct xf_listener {
    struct rdma_event_channel *cm;
    struct rdma_cm_id *id;
    struct xf_link_cfg cfg;
    uint32_t taken; /* bit n: channel n is connected */
    struct xf_handshakes table;
    struct xf_rdma_hs hs[XF_HANDSHAKES]; /* indexed by the table's places */
};

static int bind_to(struct xf_listener *l, const struct sockaddr *sa, struct xf_err *err)
{
    l->id = xf_cm_id(l->cm, NULL, err);
    if (!l->id)
        return -1;
    if (rdma_bind_addr(l->id, (struct sockaddr *)sa) || rdma_listen(l->id, BACKLOG)) {
        xf_fail(err, errno, errno == ENODEV ? "no RDMA device has this address: %s" : "%s",
                strerror(errno));
        rdma_destroy_id(l->id);
        l->id = NULL;
        return -1;
    }
    return 0;
}

/* Listen on every address: one IPv6 id takes IPv4 as well, unless the machine has no IPv6. */
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
    return xf_fail_as(err, &first, "%s", first.text);
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

static void name_peer(struct xf_chan *c)
{
    char host[48] = "?", port[8] = "?";
    const struct sockaddr *sa = rdma_get_peer_addr(c->id);

    getnameinfo(
        sa, sa->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in),
        host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
    /* a dual-stack listener sees IPv4 peers as ::ffff:192.0.2.1, which no operator expects */
    snprintf(c->who, sizeof(c->who), "%s port %s",
             strncmp(host, "::ffff:", 7) || !strchr(host, '.') ? host : host + 7, port);
}

/*
 * A new connection. A failure ends this connection only: a stranger may come in over another device
 * than the source does, one that cannot do what we need (iWARP) or is out of resources. If that
 * happens to the source, it gets a rejection.
 */
static void take_new(struct xf_listener *l, struct rdma_cm_id *id, bool ours)
{
    uint8_t greeting[XF_GREETING_BYTES];
    struct rdma_conn_param param;
    struct xf_chan *c;
    unsigned i;

    xf_rdma_conn_param(&param, greeting);
    if (!ours || !xf_cm_usable(id->verbs->device)) {
        /* with our version, so that a later one can report what is wrong */
        rdma_reject(id, greeting, sizeof(greeting));
        rdma_destroy_id(id);
        return;
    }
    i = xf_handshakes_room(&l->table, rdma_get_peer_addr(id));
    c = xf_rdma_chan_new(&l->cfg, id, false, NULL);
    if (!c)
        return; /* the id is gone, which rejects the connection */
    name_peer(c);
    xf_rdma_ack_timeout(id, l->cfg.stall_ms);
    if (xf_rdma_qp_open(c, &l->cfg, NULL)) {
        xf_rdma_chan_free(c);
        return;
    }
    xf_rdma_hs_init(&l->hs[i], c, &l->cfg, true, &l->taken);
    xf_handshakes_begin(&l->table, i, c->comp->fd, POLLIN, l->cfg.timeout_ms);
    if (rdma_accept(id, &param)) /* the peer may have left meanwhile */
        xf_handshakes_drop(&l->table, i);
    else
        c->connected = true;
}

/* The handshake on this id, or XF_HANDSHAKES. */
static unsigned find(const struct xf_listener *l, const struct rdma_cm_id *id)
{
    unsigned i;

    for (i = 0; i < XF_HANDSHAKES; i++)
        if (l->hs[i].c && l->hs[i].c->id == id)
            break;
    return i;
}

/* Handle rdma_cm's events. */
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
        unsigned i = find(l, id);

        rdma_ack_cm_event(ev);
        if (type == RDMA_CM_EVENT_CONNECT_REQUEST) {
            take_new(l, id, ours);
        } else if (type == RDMA_CM_EVENT_DEVICE_REMOVAL && id == l->id) {
            return xf_fail(err, ENODEV, "listening: the RDMA device was removed");
        } else if (i < XF_HANDSHAKES && type != RDMA_CM_EVENT_ESTABLISHED) {
            xf_handshakes_drop(&l->table, i);
        }
    }
    return rc < 0 ? -1 : 0;
}

/* The channel leaves the listener, with an event channel of its own from here on. */
static int finish(struct xf_rdma_hs *hs, struct xf_chan **out, struct xf_chan_id *id,
                  struct xf_err *err)
{
    struct xf_chan *c = hs->c;
    struct rdma_event_channel *cm = xf_cm_channel(err);
    char peer[sizeof(c->who)], name[XF_CHAN_NAME];

    if (!cm)
        return -1;
    if (rdma_migrate_id(c->id, cm)) {
        xf_fail(err, errno, "%s: moving it to an event channel of its own: %s", c->who,
                strerror(errno));
        rdma_destroy_event_channel(cm);
        return -1;
    }
    c->cm = cm;
    if (xf_rdma_chan_open(c, err))
        return -1;
    memcpy(peer, c->who, sizeof(peer));
    snprintf(c->who, sizeof(c->who), "%s from %.70s", xf_chan_name(name, c->which), peer);
    *out = c;
    *id = c->which;
    hs->c = NULL;
    return XF_HANDSHAKE_DONE;
}

static int step(struct xf_listener *l, unsigned i, short *events, struct xf_chan **out,
                struct xf_chan_id *id, struct xf_err *err)
{
    struct xf_rdma_hs *hs = &l->hs[i];
    struct xf_err why = {0};
    int rc;

    (void)events; /* always completions, in every step */
    xf_rdma_take_events(hs->c);
    rc = xf_rdma_hs_step(hs, &why);
    if (rc == 0)
        return XF_HANDSHAKE_GOES_ON;
    if (rc == 1 && finish(hs, out, id, &why) == XF_HANDSHAKE_DONE)
        return XF_HANDSHAKE_DONE;
    return hs->authentic ? xf_fail_as(err, &why, "%s", why.text) : XF_HANDSHAKE_ENDED;
}

static void cancel(struct xf_listener *l, unsigned i)
{
    xf_rdma_hs_cancel(&l->hs[i]);
}

static const struct xf_handshakes_ops handshakes_ops = {take_events, step, cancel};

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
    if (xf_handshakes_open(&l->table, &handshakes_ops, l, err))
        goto err_free;
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
    if (!l)
        return;
    xf_handshakes_close(&l->table);
    if (l->id)
        rdma_destroy_id(l->id);
    if (l->cm)
        rdma_destroy_event_channel(l->cm);
    free(l);
}

int xf_rdma_accept(struct xf_listener *l, int timeout_ms, struct xf_chan **out,
                   struct xf_chan_id *id, struct xf_err *err)
{
    return xf_handshakes_accept(&l->table, l->cm->fd, timeout_ms, out, id, err);
}

void xf_rdma_abort_accept(struct xf_listener *l)
{
    xf_handshakes_abort(&l->table);
}
