/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rdma_cm with deadlines: see cm.h. This file interprets the status of events. */
#include "transport/rdma/cm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "transport/clock.h"
#include "transport/lookup.h"

/* Reasons for a rejection that have an errno of their own (InfiniBand CM, table 12.6.7.2). */
#define REJ_NO_SERVICE 8
#define REJ_CONSUMER 28

struct rdma_event_channel *xf_cm_channel(struct xf_err *err)
{
    struct rdma_event_channel *ch = rdma_create_event_channel();
    int flags;

    if (!ch) {
        xf_fail(err, errno == ENOENT ? ENODEV : errno,
                errno == ENOENT || errno == ENODEV
                    ? "this machine has no RDMA device, or the module rdma_ucm is not loaded"
                    : "rdma_cm cannot be used: %s",
                strerror(errno));
        return NULL;
    }
    flags = fcntl(ch->fd, F_GETFL);
    if (flags < 0 || fcntl(ch->fd, F_SETFL, flags | O_NONBLOCK) ||
        fcntl(ch->fd, F_SETFD, FD_CLOEXEC)) {
        xf_fail(err, errno, "rdma_cm's descriptor: %s", strerror(errno));
        rdma_destroy_event_channel(ch);
        return NULL;
    }
    return ch;
}

struct rdma_cm_id *xf_cm_id(struct rdma_event_channel *ch, void *context, struct xf_err *err)
{
    struct rdma_cm_id *id;

    if (rdma_create_id(ch, &id, context, RDMA_PS_TCP)) {
        xf_fail(err, errno, "rdma_cm cannot create a connection id: %s", strerror(errno));
        return NULL;
    }
    return id;
}

int xf_cm_next(struct rdma_event_channel *ch, struct rdma_cm_event **ev, struct xf_err *err)
{
    do
        if (rdma_get_cm_event(ch, ev) == 0)
            return 0;
    while (errno == EINTR);
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return 1;
    return xf_fail_link(err, errno, "rdma_cm: %s", strerror(errno));
}

/* The error for an unexpected event. */
static int bad_event(const struct rdma_cm_event *ev, const char *doing, struct xf_err *err)
{
    int status = ev->status < 0 ? -ev->status : ev->status;

    switch (ev->event) {
    case RDMA_CM_EVENT_REJECTED:
        if (status == REJ_NO_SERVICE)
            return xf_fail_link(err, ECONNREFUSED, "%s: nobody listens there over RDMA", doing);
        if (status == REJ_CONSUMER)
            return xf_fail_link(err, ECONNRESET, "%s: the peer refused the connection", doing);
        return xf_fail_link(err, ECONNREFUSED, "%s: rejected (reason %d)", doing, status);
    case RDMA_CM_EVENT_DISCONNECTED:
        return xf_fail_link(err, ECONNRESET, "%s: the peer closed the connection", doing);
    case RDMA_CM_EVENT_DEVICE_REMOVAL:
        return xf_fail_link(err, ENODEV, "%s: the RDMA device was removed", doing);
    case RDMA_CM_EVENT_ADDR_ERROR:
    case RDMA_CM_EVENT_ROUTE_ERROR:
    case RDMA_CM_EVENT_UNREACHABLE:
    case RDMA_CM_EVENT_CONNECT_ERROR:
        if (!status)
            status = EHOSTUNREACH;
        return xf_fail_link(err, status, "%s: %s", doing, strerror(status));
    default:
        return xf_fail(err, EPROTO, "%s: unexpected event %s", doing, rdma_event_str(ev->event));
    }
}

static int take_event(struct rdma_cm_event *ev, enum rdma_cm_event_type want, const char *doing,
                      void *data, size_t max, size_t *len, struct xf_err *err)
{
    size_t n = ev->event == RDMA_CM_EVENT_ESTABLISHED || ev->event == RDMA_CM_EVENT_REJECTED
                   ? ev->param.conn.private_data_len
                   : 0;
    int rc = ev->event == want ? 0 : bad_event(ev, doing, err);

    if (n > max)
        n = max;
    if (n)
        memcpy(data, ev->param.conn.private_data, n);
    if (len)
        *len = n;
    rdma_ack_cm_event(ev);
    return rc;
}

int xf_cm_await(struct rdma_event_channel *ch, enum rdma_cm_event_type want, int64_t deadline,
                const char *doing, void *data, size_t max, size_t *len, struct xf_err *err)
{
    struct pollfd p = {.fd = ch->fd, .events = POLLIN};
    struct rdma_cm_event *ev;
    int rc;

    if (len)
        *len = 0;
    for (;;) {
        rc = xf_cm_next(ch, &ev, err);
        if (rc < 0)
            return xf_wrap(err, "%s", doing);
        if (rc == 0)
            return take_event(ev, want, doing, data, max, len, err);
        rc = poll(&p, 1, xf_ms_left(deadline));
        if (rc < 0 && errno != EINTR)
            return xf_fail_link(err, errno, "%s: poll: %s", doing, strerror(errno));
        if (rc == 0 && xf_ms_left(deadline) == 0)
            return xf_fail_link(err, ETIMEDOUT, "%s: no answer in time", doing);
    }
}

bool xf_cm_usable(const struct ibv_device *dev)
{
    return dev->transport_type == IBV_TRANSPORT_IB; /* includes RoCE */
}

int xf_cm_bind_source(struct rdma_cm_id *id, const char *src, int family, struct xf_err *err)
{
    struct addrinfo *ai;
    int rc;

    if (xf_lookup(src, 0, AI_NUMERICHOST, family, &ai, err))
        return xf_wrap(err, "local address %s", src);
    rc = rdma_bind_addr(id, ai->ai_addr);
    if (rc)
        xf_fail_link(err, errno,
                     errno == ENODEV ? "local address %s: no RDMA device has it: %s"
                                     : "local address %s: %s",
                     src, strerror(errno));
    freeaddrinfo(ai);
    return rc ? -1 : 0;
}

int xf_cm_resolve(struct rdma_cm_id *id, const struct addrinfo *to, const char *src,
                  int64_t deadline, struct xf_err *err)
{
    if (src && xf_cm_bind_source(id, src, to->ai_family, err))
        return -1;
    if (rdma_resolve_addr(id, NULL, to->ai_addr, xf_ms_left(deadline)))
        return xf_fail_link(err, errno,
                            errno == ENODEV ? "no RDMA device leads there: %s"
                                            : "resolving the address: %s",
                            strerror(errno));
    if (xf_cm_await(id->channel, RDMA_CM_EVENT_ADDR_RESOLVED, deadline, "resolving the address",
                    NULL, 0, NULL, err))
        return -1;
    if (!id->verbs || !xf_cm_usable(id->verbs->device))
        return xf_fail_link(err, ENODEV,
                            "the device that leads there cannot write with immediate data");
    if (rdma_resolve_route(id, xf_ms_left(deadline)))
        return xf_fail_link(err, errno, "resolving the route: %s", strerror(errno));
    return xf_cm_await(id->channel, RDMA_CM_EVENT_ROUTE_RESOLVED, deadline, "resolving the route",
                       NULL, 0, NULL, err);
}
