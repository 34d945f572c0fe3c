/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Completions and what they mean: fragments that arrived, slots that are free again, the end. And
 * waiting for them: poll once, then in a busy loop for a short time, then sleep until the
 * completion queue, rdma_cm or an abort raises an event.
 */
#include "transport/rdma/rdma.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "transport/clock.h"

int xf_rdma_check_abort(struct xf_chan *c, struct xf_err *err)
{
    if (atomic_load_explicit(&c->aborted, memory_order_acquire))
        return xf_fail_link(err, ECANCELED, "%s: given up on this side", c->who);
    return 0;
}

static void violated(struct xf_chan *c, const char *what)
{
    xf_fail(&c->fault, EPROTO, "%s: the peer %s", c->who, what);
}

static void failed(struct xf_chan *c, const struct ibv_wc *wc)
{
    switch (wc->status) {
    case IBV_WC_WR_FLUSH_ERR:
        c->flushed = true;
        return;
    case IBV_WC_RETRY_EXC_ERR:
    case IBV_WC_RNR_RETRY_EXC_ERR:
    case IBV_WC_RESP_TIMEOUT_ERR:
        xf_fail_link(&c->fault, ETIMEDOUT, "%s: the peer does not answer any more", c->who);
        return;
    case IBV_WC_LOC_LEN_ERR:
    case IBV_WC_REM_ACCESS_ERR:
    case IBV_WC_REM_INV_REQ_ERR:
    case IBV_WC_LOC_ACCESS_ERR:
        xf_fail(&c->fault, EPROTO, "%s: the peer's ring is gone, or does not fit ours: %s", c->who,
                ibv_wc_status_str(wc->status));
        return;
    default:
        xf_fail_link(&c->fault, EIO, "%s: %s", c->who, ibv_wc_status_str(wc->status));
    }
}

/* Data has arrived in the next slot, or in the one that the work request names. */
static void take_data(struct xf_chan *c, const struct ibv_wc *wc, const struct xf_imm *imm)
{
    struct xf_rdma_fragment *f;
    uint32_t least = c->unseal.cipher ? XF_TAG_BYTES + 1 : 1;

    if (imm->seq != (uint16_t)c->arrived)
        return violated(c, "numbers its fragments wrongly");
    if (c->waiting >= c->window)
        return violated(c, "sent more than it had credits for");
    if (wc->byte_len < least || wc->byte_len > c->rx.slot)
        return violated(c, "sent a fragment of an impossible length");
    if (c->bye)
        return violated(c, "sent data after its good-bye");
    f = &c->queue[c->arrived % c->window];
    f->slot = c->small ? (uint32_t)wc->wr_id : c->arrived % c->rx.slots;
    f->len = wc->byte_len;
    c->arrived++;
    c->waiting++;
    atomic_fetch_add_explicit(&c->rx_bytes, wc->byte_len, memory_order_relaxed);
}

static void arrived(struct xf_chan *c, const struct ibv_wc *wc)
{
    struct xf_imm imm;
    bool data, write = wc->opcode == IBV_WC_RECV_RDMA_WITH_IMM;

    if (!c->small)
        c->reposts++;
    if (!(wc->wc_flags & IBV_WC_WITH_IMM))
        return violated(c, "sent something that is not a fragment");
    if (xf_imm_decode(&imm, ntohl(wc->imm_data), &c->fault)) {
        xf_wrap(&c->fault, "%s", c->who);
        return;
    }
    data = imm.flags & XF_IMM_DATA;
    if (write != (data && !c->small) || (!data && wc->byte_len))
        return violated(c, "sent a fragment of the wrong kind");
    if (imm.credits > c->peer.slots - c->credits)
        return violated(c, "returned more credits than it was sent fragments");
    c->credits += imm.credits;
    if (data)
        take_data(c, wc, &imm);
    else if (c->small)
        xf_rdma_repost_slot(c, (uint32_t)wc->wr_id, &c->fault);
    if (imm.flags & XF_IMM_BYE)
        c->bye = true;
}

/* wr_id says how much is done once this one is. */
static void sent(struct xf_chan *c, const struct ibv_wc *wc)
{
    c->done = (uint32_t)wc->wr_id;
    c->data_done = (uint32_t)(wc->wr_id >> 32);
}

void xf_rdma_progress(struct xf_chan *c)
{
    struct ibv_wc wc[XF_RDMA_BATCH];
    int n, i;

    do {
        n = ibv_poll_cq(c->cq, XF_RDMA_BATCH, wc);
        for (i = 0; i < n; i++) {
            if (wc[i].status != IBV_WC_SUCCESS) {
                failed(c, &wc[i]);
            } else if (c->fault.num) {
                continue; /* nothing is trusted any more */
            } else if (wc[i].opcode & IBV_WC_RECV) {
                arrived(c, &wc[i]);
            } else {
                sent(c, &wc[i]);
            }
        }
        if (n > 0)
            atomic_fetch_add_explicit(&c->completions, (uint64_t)n, memory_order_relaxed);
    } while (n == XF_RDMA_BATCH);
    if (n < 0)
        xf_fail_link(&c->fault, EIO, "%s: the completion queue cannot be read", c->who);
    if (c->reposts && !c->fault.num && !c->flushed)
        xf_rdma_repost(c, &c->fault);
}

void xf_rdma_cm_events(struct xf_chan *c)
{
    struct rdma_cm_event *ev;

    while (c->cm && xf_cm_next(c->cm, &ev, NULL) == 0) {
        if (ev->event == RDMA_CM_EVENT_DISCONNECTED)
            c->cut = true;
        if (ev->event == RDMA_CM_EVENT_DEVICE_REMOVAL)
            xf_fail_link(&c->fault, ENODEV, "%s: the RDMA device was removed", c->who);
        rdma_ack_cm_event(ev);
    }
}

void xf_rdma_take_events(struct xf_chan *c)
{
    struct ibv_cq *cq;
    void *context;

    /* one request, one event: no second system call to check */
    if (c->armed && ibv_get_cq_event(c->comp, &cq, &context) == 0) {
        ibv_ack_cq_events(cq, 1);
        c->armed = false;
    }
}

int xf_rdma_arm(struct xf_chan *c, struct xf_err *err)
{
    int num = c->armed ? 0 : ibv_req_notify_cq(c->cq, 0);

    if (num)
        return xf_fail_link(err, num, "%s: asking for completion events: %s", c->who,
                            strerror(num));
    c->armed = true;
    return 0;
}

bool xf_rdma_ended(const struct xf_chan *c)
{
    return c->bye || c->cut || c->flushed || c->fault.num;
}

int xf_rdma_end(struct xf_chan *c, struct xf_err *err)
{
    xf_rdma_cm_events(c); /* rdma_cm's report is closer to the cause than what followed from it */
    if (c->fault.num && c->fault.num != ETIMEDOUT)
        return xf_fail_as(err, &c->fault, "%s", c->fault.text);
    if (c->bye)
        return xf_fail_link(err, ECONNRESET, "%s: the peer closed the connection", c->who);
    if (c->fault.num && !c->cut)
        return xf_fail_as(err, &c->fault, "%s", c->fault.text);
    return xf_fail_link(err, ECONNRESET, "%s: the connection was cut", c->who);
}

/* Nothing has arrived for half of stall_ms: does the peer's device still answer? The device's own
 * retries may take longer than that, or for ever: the source chooses their number. */
static int probe(struct xf_chan *c, struct xf_err *err)
{
    int64_t now = xf_now_ms();

    if ((int32_t)(c->done - c->probe) >= 0) { /* one at a time */
        c->probe_ms = now;
        return xf_rdma_post_probe(c, err);
    }
    if (now - c->probe_ms < c->stall_ms)
        return 0;
    return xf_fail_link(err, ETIMEDOUT, "%s: the peer has not answered for %d ms", c->who,
                        c->stall_ms);
}

static int return_credits(struct xf_chan *c, struct xf_err *err)
{
    uint32_t enough = c->window / XF_RDMA_CREDIT_SHARE;

    if (c->owed < (enough ? enough : 1) || c->posted - c->done >= c->depth || xf_rdma_ended(c))
        return 0;
    return xf_rdma_post_note(c, 0, err);
}

int xf_rdma_release(struct xf_chan *c, uint32_t slot, struct xf_err *err)
{
    if (c->small && !c->flushed && xf_rdma_repost_slot(c, slot, err))
        return -1;
    c->owed++;
    return return_credits(c, err);
}

/* Sleep until something happens or `ms` are over; 1: they are. */
static int sleep_for(struct xf_chan *c, int ms, struct xf_err *err)
{
    struct pollfd p[3] = {{.fd = c->comp->fd, .events = POLLIN},
                          {.fd = c->wake, .events = POLLIN},
                          {.fd = c->cm ? c->cm->fd : -1, .events = POLLIN}};
    int n = poll(p, 3, ms);

    if (n < 0 && errno != EINTR)
        return xf_fail_link(err, errno, "%s: poll: %s", c->who, strerror(errno));
    if (n > 0 && p[0].revents)
        xf_rdma_take_events(c);
    if (n > 0 && p[2].revents)
        xf_rdma_cm_events(c);
    return n == 0;
}

int xf_rdma_wait(struct xf_chan *c, bool (*cond)(const struct xf_chan *c), int timeout_ms,
                 struct xf_err *err)
{
    int64_t deadline = -2, spin = 0;
    int slice = c->stall_ms > 1 ? c->stall_ms / 2 : -1, left, rc;

    for (;;) {
        if (xf_rdma_check_abort(c, err))
            return -1;
        xf_rdma_progress(c);
        if (cond(c))
            return 0;
        if (xf_rdma_ended(c))
            return xf_rdma_end(c, err);
        if (return_credits(c, err))
            return -1;
        if (deadline == -2) {
            deadline = timeout_ms < 0 ? -1 : xf_now_ms() + timeout_ms;
            spin = c->poll_us && timeout_ms ? xf_now_us() + c->poll_us : 0;
        }
        if (spin && xf_now_us() < spin)
            continue;
        spin = 0;
        if (!c->armed) { /* and poll once more: an earlier completion raised no event */
            if (xf_rdma_arm(c, err))
                return -1;
            continue;
        }
        left = xf_ms_left(deadline);
        rc = sleep_for(c, slice > 0 && (left < 0 || slice < left) ? slice : left, err);
        if (rc < 0)
            return -1;
        if (rc == 1 && xf_ms_left(deadline) == 0)
            return 1;
        if (rc == 1 && probe(c, err))
            return -1;
    }
}
