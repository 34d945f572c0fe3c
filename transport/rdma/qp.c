/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The verbs objects of one channel, within the device's limits, and posting to the queue pair. Only
 * one in several work requests is signalled: a completion costs time, and on an RC queue pair it
 * says that all earlier requests are done as well.
 */
#include "transport/rdma/rdma.h"

#include <assert.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HS_MEM (8 * XF_HS_MAX)
#define RECV_ANY UINT64_MAX /* wr_id of a receive that has no slot of its own */

uint8_t *xf_rdma_hs_out(struct xf_chan *c, unsigned n)
{
    return c->hs_mem + (size_t)n * XF_HS_MAX;
}

uint8_t *xf_rdma_hs_in(struct xf_chan *c, unsigned n)
{
    return c->hs_mem + (size_t)(4 + n) * XF_HS_MAX;
}

static int post_recv(struct xf_chan *c, uint64_t id, void *at, uint32_t len, uint32_t lkey,
                     struct xf_err *err)
{
    struct ibv_sge sge = {(uintptr_t)at, len, lkey};
    struct ibv_recv_wr wr = {.wr_id = id, .sg_list = &sge, .num_sge = at ? 1 : 0}, *bad;
    int num = ibv_post_recv(c->id->qp, &wr, &bad);

    return num ? xf_fail_link(err, num, "%s: posting a receive: %s", c->who, strerror(num)) : 0;
}

int xf_rdma_repost_slot(struct xf_chan *c, uint32_t slot, struct xf_err *err)
{
    return post_recv(c, slot, xf_rdma_slot(&c->rx, slot), c->rx.slot, c->rx.mr->lkey, err);
}

int xf_rdma_repost(struct xf_chan *c, struct xf_err *err)
{
    struct ibv_recv_wr wr[XF_RDMA_BATCH] = {0}, *bad;

    while (c->reposts) {
        unsigned n = c->reposts < XF_RDMA_BATCH ? c->reposts : XF_RDMA_BATCH;
        int num;

        for (unsigned i = 0; i < n; i++) {
            wr[i].wr_id = RECV_ANY;
            wr[i].next = i + 1 < n ? &wr[i + 1] : NULL;
        }
        num = ibv_post_recv(c->id->qp, wr, &bad);
        if (num)
            return xf_fail_link(err, num, "%s: posting receives: %s", c->who, strerror(num));
        c->reposts -= n;
    }
    return 0;
}

/* No device reports how much it takes inline; find out by asking for less and less. */
static int create_qp(struct xf_chan *c, struct ibv_qp_init_attr *init, struct xf_err *err)
{
    static const uint32_t sizes[] = {256, 128, 64, 0};
    size_t i;

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        init->cap.max_inline_data = sizes[i];
        if (rdma_create_qp(c->id, c->pd, init) == 0) {
            c->inline_max = init->cap.max_inline_data;
            return 0;
        }
        if (errno != EINVAL)
            break;
    }
    return xf_fail(err, errno, "%s: creating a queue pair: %s", c->who, strerror(errno));
}

static int open_cq(struct xf_chan *c, const struct ibv_device_attr *attr, struct xf_err *err)
{
    uint32_t entries = c->depth + c->recv_depth;
    int flags;

    if (entries > (uint32_t)attr->max_cqe)
        return xf_fail(err, ENOTSUP,
                       "%s: the RDMA device's completion queues have at most %d entries, too few",
                       c->who, attr->max_cqe);
    c->comp = ibv_create_comp_channel(c->id->verbs);
    if (!c->comp)
        return xf_fail(err, errno, "%s: no completion channel: %s", c->who, strerror(errno));
    flags = fcntl(c->comp->fd, F_GETFL);
    if (flags < 0 || fcntl(c->comp->fd, F_SETFL, flags | O_NONBLOCK))
        return xf_fail(err, errno, "%s: %s", c->who, strerror(errno));
    c->cq = ibv_create_cq(c->id->verbs, (int)entries, NULL, c->comp, 0);
    if (!c->cq)
        return xf_fail(err, errno, "%s: creating a completion queue: %s", c->who, strerror(errno));
    return 0;
}

int xf_rdma_qp_open(struct xf_chan *c, const struct xf_link_cfg *cfg, struct xf_err *err)
{
    struct xf_rdma_geometry bulk, small;
    struct ibv_qp_init_attr init = {.qp_type = IBV_QPT_RC, .sq_sig_all = 0};
    struct ibv_device_attr attr;

    if (!xf_cm_usable(c->id->verbs->device))
        return xf_fail(err, ENODEV, "%s: the device cannot write with immediate data", c->who);
    if (ibv_query_device(c->id->verbs, &attr))
        return xf_fail(err, errno, "%s: asking the RDMA device: %s", c->who, strerror(errno));
    /* a sink learns only later which kind of channel this is to be */
    if (xf_rdma_geometry(&bulk, cfg, c->source, false, &attr, err) ||
        xf_rdma_geometry(&small, cfg, c->source, true, &attr, err))
        return -1;
    c->recv_depth = bulk.window + XF_RDMA_SPARE + XF_RDMA_HS_RECVS;
    if (c->recv_depth < small.rx_slots + XF_RDMA_HS_RECVS)
        c->recv_depth = small.rx_slots + XF_RDMA_HS_RECVS;
    c->depth = XF_RDMA_SEND_DEPTH;
    if (c->depth > (uint32_t)attr.max_qp_wr)
        c->depth = (uint32_t)attr.max_qp_wr;

    c->pd = ibv_alloc_pd(c->id->verbs);
    if (!c->pd)
        return xf_fail(err, errno, "%s: no protection domain: %s", c->who, strerror(errno));
    if (open_cq(c, &attr, err))
        return -1;
    init.send_cq = init.recv_cq = c->cq;
    init.cap.max_send_wr = c->depth;
    init.cap.max_recv_wr = c->recv_depth;
    init.cap.max_send_sge = init.cap.max_recv_sge = 1;
    if (create_qp(c, &init, err))
        return -1;
    c->hs_mem = aligned_alloc(4096, 4096);
    if (c->hs_mem)
        c->hs_mr = ibv_reg_mr(c->pd, c->hs_mem, HS_MEM, IBV_ACCESS_LOCAL_WRITE);
    if (!c->hs_mr)
        return xf_fail(err, errno, "%s: registering memory: %s", c->who, strerror(errno));
    for (unsigned i = 0; i < XF_RDMA_HS_RECVS; i++)
        if (post_recv(c, i, xf_rdma_hs_in(c, i), XF_HS_MAX, c->hs_mr->lkey, err))
            return -1;
    return xf_rdma_arm(c, err);
}

int xf_rdma_rx_open(struct xf_chan *c, const struct xf_link_cfg *cfg, struct xf_err *err)
{
    struct xf_rdma_geometry g;
    struct ibv_device_attr attr;
    int access = IBV_ACCESS_LOCAL_WRITE | (c->small ? 0 : IBV_ACCESS_REMOTE_WRITE);

    if (ibv_query_device(c->id->verbs, &attr))
        return xf_fail(err, errno, "%s: asking the RDMA device: %s", c->who, strerror(errno));
    if (xf_rdma_geometry(&g, cfg, c->source, c->small, &attr, err) ||
        xf_rdma_ring_open(&c->rx, c->pd, g.rx_slot, g.rx_slots, access, err))
        return xf_wrap(err, "%s", c->who);
    c->window = g.window;
    c->queue = calloc(g.window, sizeof(*c->queue));
    c->open = cfg->encrypt ? malloc(g.rx_slot) : NULL;
    if (!c->queue || (cfg->encrypt && !c->open))
        return xf_fail(err, ENOMEM, "%s: out of memory", c->who);
    for (uint32_t i = 0; c->small && i < g.rx_slots; i++)
        if (xf_rdma_repost_slot(c, i, err))
            return -1;
    c->reposts = c->small ? 0 : g.window + XF_RDMA_SPARE;
    return xf_rdma_repost(c, err);
}

int xf_rdma_tx_open(struct xf_chan *c, const struct xf_link_cfg *cfg, struct xf_err *err)
{
    struct xf_rdma_geometry g;
    struct ibv_device_attr attr;
    uint32_t parts = c->peer.slot / XF_SLOT_MIN, slot, slots; /* wire.c: at least one part */

    if (ibv_query_device(c->id->verbs, &attr))
        return xf_fail(err, errno, "%s: asking the RDMA device: %s", c->who, strerror(errno));
    if (xf_rdma_geometry(&g, cfg, c->source, c->small, &attr, err))
        return -1;
    /* a peer with large slots must not decide how much memory we take */
    while (parts > 1 && g.tx_bytes / (parts * XF_SLOT_MIN) < XF_SLOTS_MIN)
        parts /= 2;
    slot = parts * XF_SLOT_MIN;
    slots = g.tx_bytes / slot;
    if (slots > c->depth - XF_RDMA_SPARE)
        slots = c->depth - XF_RDMA_SPARE;
    c->win = malloc((XF_IOV_MAX + 2) * sizeof(*c->win));
    if (!c->win)
        return xf_fail(err, ENOMEM, "%s: out of memory", c->who);
    if (xf_rdma_ring_open(&c->tx, c->pd, slot, slots, IBV_ACCESS_LOCAL_WRITE, err))
        return xf_wrap(err, "%s", c->who);
    c->credits = c->peer.slots;
    return 0;
}

/* wr_id of a send: how much is done when this one is. */
static int post_send(struct xf_chan *c, struct ibv_send_wr *wr, bool signal, struct xf_err *err)
{
    uint32_t every = c->tx.slots / 4; /* 0 during the handshake: signal each */
    struct ibv_send_wr *bad;
    int num;

    c->posted++;
    if (signal || ++c->unsignalled >= every) {
        wr->send_flags |= IBV_SEND_SIGNALED;
        c->unsignalled = 0;
    }
    wr->wr_id = (uint64_t)c->data << 32 | c->posted;
    num = ibv_post_send(c->id->qp, wr, &bad);
    if (num)
        return xf_fail_link(err, num, "%s: posting a work request: %s", c->who, strerror(num));
    atomic_fetch_add_explicit(&c->work_requests, 1, memory_order_relaxed);
    return 0;
}

int xf_rdma_post_hs(struct xf_chan *c, unsigned n, size_t len, struct xf_err *err)
{
    struct ibv_sge sge = {(uintptr_t)xf_rdma_hs_out(c, n), (uint32_t)len, c->hs_mr->lkey};
    struct ibv_send_wr wr = {.opcode = IBV_WR_SEND, .sg_list = &sge, .num_sge = 1};

    return post_send(c, &wr, true, err);
}

/* As many credits as are owed and the immediate can hold. */
static uint32_t take_owed(struct xf_chan *c)
{
    uint32_t n = c->owed < XF_SLOTS_MAX ? c->owed : XF_SLOTS_MAX;

    c->owed -= n;
    return n;
}

int xf_rdma_post_data(struct xf_chan *c, uint32_t len, struct xf_err *err)
{
    uint32_t slot = c->data % c->tx.slots, remote = c->data % c->peer.slots;
    struct xf_imm imm = {(uint16_t)c->data, take_owed(c), XF_IMM_DATA};
    struct ibv_sge sge = {(uintptr_t)xf_rdma_slot(&c->tx, slot), len, c->tx.mr->lkey};
    struct ibv_send_wr wr = {.sg_list = &sge, .num_sge = 1, .imm_data = htonl(xf_imm_encode(&imm))};

    assert(c->credits && c->data - c->data_done < c->tx.slots);
    wr.opcode = c->small ? IBV_WR_SEND_WITH_IMM : IBV_WR_RDMA_WRITE_WITH_IMM;
    wr.send_flags = len <= c->inline_max ? IBV_SEND_INLINE : 0;
    wr.wr.rdma.remote_addr = c->peer.addr + (uint64_t)remote * c->peer.slot;
    wr.wr.rdma.rkey = c->peer.rkey;
    c->data++;
    c->credits--;
    atomic_fetch_add_explicit(&c->tx_bytes, len, memory_order_relaxed);
    return post_send(c, &wr, false, err);
}

int xf_rdma_post_note(struct xf_chan *c, uint32_t flags, struct xf_err *err)
{
    struct xf_imm imm = {0, take_owed(c), flags};
    struct ibv_send_wr wr = {.opcode = IBV_WR_SEND_WITH_IMM,
                             .imm_data = htonl(xf_imm_encode(&imm))};

    return post_send(c, &wr, flags & XF_IMM_BYE, err);
}

int xf_rdma_post_probe(struct xf_chan *c, struct xf_err *err)
{
    /* empty: neither address nor key is checked (InfiniBand C9-88) */
    struct ibv_send_wr wr = {.opcode = IBV_WR_RDMA_WRITE};

    c->probe = c->posted + 1;
    return post_send(c, &wr, true, err);
}

void xf_rdma_qp_close(struct xf_chan *c)
{
    if (c->id && c->id->qp) {
        if (c->connected)
            rdma_disconnect(c->id);
        rdma_destroy_qp(c->id);
    }
    xf_rdma_ring_close(&c->rx);
    xf_rdma_ring_close(&c->tx);
    if (c->hs_mr)
        ibv_dereg_mr(c->hs_mr);
    free(c->hs_mem);
    if (c->cq)
        ibv_destroy_cq(c->cq);
    if (c->comp)
        ibv_destroy_comp_channel(c->comp);
    if (c->pd)
        ibv_dealloc_pd(c->pd);
    if (c->id)
        rdma_destroy_id(c->id);
    if (c->cm)
        rdma_destroy_event_channel(c->cm);
}
