/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The source's side of making a connection: resolve, try each address, handshake, all
 * within cfg->timeout_ms (the name's lookup excepted: the C library offers no deadline).
 */
#include "transport/rdma/rdma.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "transport/clock.h"
#include "transport/lookup.h"

#define RETRIES 6 /* 7 is the maximum, and unlimited for Soft-RoCE */

void xf_rdma_conn_param(struct rdma_conn_param *p, uint8_t greeting[XF_GREETING_BYTES])
{
    memset(p, 0, sizeof(*p));
    xf_greeting_encode(greeting);
    p->private_data = greeting;
    p->private_data_len = XF_GREETING_BYTES;
    p->retry_count = RETRIES;
    p->rnr_retry_count = 7; /* unlimited: credits prevent it, and stall_ms ends it */
    /* neither side uses RDMA READ: both resources for it stay 0 */
}

/* Set the ACK timeout: a dead peer is noticed within stall_ms, a loaded one has time to answer. */
void xf_rdma_ack_timeout(struct rdma_cm_id *id, int stall_ms)
{
    uint8_t t = 14; /* 4.096 us * 2^14 = 67 ms */

    if (stall_ms <= 0)
        return;
    while (t < 21 && (4096ll << (t + 1)) * (RETRIES + 1) <= stall_ms * 1000000ll)
        t++;
    /* old kernels cannot; then rdma_cm's own timeout applies */
    (void)rdma_set_option(id, RDMA_OPTION_ID, RDMA_OPTION_ID_ACK_TIMEOUT, &t, sizeof(t));
}

/* The connection was rejected. If the peer's greeting has another version, the error says so. */
static int turned_away(const void *data, size_t len, struct xf_err *err)
{
    struct xf_err other = {0};
    uint16_t version;

    if (xf_greeting_decode(&version, data, len) == 0 || version == 0)
        return -1;
    xf_fail(&other, EPROTO,
            "this side speaks version %u of the RDMA handshake and the peer version %u; move with "
            "--tcp",
            XF_RDMA_VERSION, version);
    if (err)
        *err = other;
    return -1;
}

static int dial(const struct xf_link_cfg *cfg, struct xf_chan *c, int64_t deadline,
                struct xf_err *err)
{
    uint8_t greeting[XF_GREETING_BYTES], back[64];
    struct rdma_conn_param param;
    uint16_t version;
    size_t len;

    if (xf_rdma_qp_open(c, cfg, err))
        return -1;
    xf_rdma_conn_param(&param, greeting);
    if (rdma_connect(c->id, &param))
        return xf_fail_link(err, errno, "connecting: %s", strerror(errno));
    if (xf_cm_await(c->cm, RDMA_CM_EVENT_ESTABLISHED, deadline, "connecting", back, sizeof(back),
                    &len, err))
        return turned_away(back, len, err);
    c->connected = true;
    if (xf_greeting_decode(&version, back, len))
        return xf_fail(err, EPROTO, "the listener there is not a Xenferry of version %u",
                       XF_RDMA_VERSION);
    return 0;
}

/* Try one address, by `deadline`. */
static struct xf_chan *try_address(const struct xf_link_cfg *cfg, const struct addrinfo *ai,
                                   const char *src, struct xf_chan_id id, int64_t deadline,
                                   struct xf_err *err)
{
    struct rdma_event_channel *cm = xf_cm_channel(err);
    struct rdma_cm_id *cm_id = cm ? xf_cm_id(cm, NULL, err) : NULL;
    struct xf_chan *c;

    if (!cm_id) {
        if (cm)
            rdma_destroy_event_channel(cm);
        return NULL;
    }
    c = xf_rdma_chan_new(cfg, cm_id, true, err);
    if (!c) {
        rdma_destroy_event_channel(cm);
        return NULL;
    }
    c->cm = cm;
    c->which = id;
    c->small = xf_rdma_small(id);
    xf_rdma_ack_timeout(cm_id, cfg->stall_ms);
    if (xf_cm_resolve(cm_id, ai, src, deadline, err) || dial(cfg, c, deadline, err)) {
        xf_rdma_chan_free(c);
        return NULL;
    }
    return c;
}

static int handshake(const struct xf_link_cfg *cfg, struct xf_chan *c, int64_t deadline,
                     struct xf_err *err)
{
    struct pollfd p[2] = {{.fd = c->comp->fd, .events = POLLIN},
                          {.fd = c->cm->fd, .events = POLLIN}};
    struct xf_rdma_hs hs;
    int rc;

    xf_rdma_hs_init(&hs, c, cfg, false, NULL);
    if (xf_rdma_hs_begin(&hs, err))
        return -1;
    while ((rc = xf_rdma_hs_step(&hs, err)) == 0) {
        if (xf_rdma_ended(c))
            return xf_fail_link(err, ECONNRESET,
                                "%s: the peer closed the connection during the handshake", c->who);
        rc = poll(p, 2, xf_ms_left(deadline));
        if (rc < 0 && errno != EINTR)
            return xf_fail_link(err, errno, "%s: poll: %s", c->who, strerror(errno));
        if (rc == 0 && xf_ms_left(deadline) == 0)
            return xf_fail_link(err, ETIME, "%s: the peer did not finish the handshake in %d ms",
                                c->who, cfg->timeout_ms);
        xf_rdma_take_events(c);
        xf_rdma_cm_events(c);
    }
    return rc < 0 ? -1 : xf_rdma_chan_open(c, err);
}

int xf_rdma_connect(const struct xf_link_cfg *cfg, const char *host, uint16_t port, const char *src,
                    struct xf_chan_id id, struct xf_chan **out, struct xf_err *err)
{
    char name[XF_CHAN_NAME];
    int64_t deadline = xf_now_ms() + cfg->timeout_ms;
    struct addrinfo *list, *ai;
    struct xf_chan *c = NULL;
    struct xf_err last = {0};
    int left = 0;

    if (xf_rdma_check(cfg, err))
        return -1;
    if (xf_lookup(host, port, 0, AF_UNSPEC, &list, err))
        return xf_wrap(err, "%s to %s", xf_chan_name(name, id), host);
    for (ai = list; ai; ai = ai->ai_next)
        left++;
    for (ai = list; ai && !c; ai = ai->ai_next, left--) {
        xf_clear(&last); /* an even share each, so that a black hole leaves time for the next */
        c = try_address(cfg, ai, src, id, xf_now_ms() + xf_ms_left(deadline) / left, &last);
    }
    freeaddrinfo(list);
    if (!c)
        return xf_fail_as(err, &last, "%s to %s port %u: %s", xf_chan_name(name, id), host, port,
                          last.text);
    snprintf(c->who, sizeof(c->who), "%s to %.60s port %u", xf_chan_name(name, id), host, port);
    if (handshake(cfg, c, deadline, err)) {
        xf_rdma_chan_free(c);
        return -1;
    }
    *out = c;
    return 0;
}
