/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rings: their size, memory and registration with the device. Guest memory itself cannot be
 * registered: it is a foreign mapping (VM_PFNMAP), and its pages cannot be pinned.
 */
#include "transport/rdma/rdma.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "transport/rdma/probe.h"

#define SMALL_SLOT 16384u /* small channels, and the way back of bulk channels */
#define SMALL_SLOTS 32u
#define BULK_SLOT (256u << 10)
#define BULK_SLOTS 16u /* at least; a small ring has smaller slots instead */
#define HUGE_PAGE (2u << 20)
#define DEFAULT_MAX (8u << 20)
#define DEFAULT_SHARE 32 /* 1/DEFAULT_SHARE of free memory, for all channels together */

/* MemAvailable, bytes; 0 if unknown. */
static uint64_t available(void)
{
    unsigned long long kib = 0;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "re");

    if (!f)
        return 0;
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            break;
    fclose(f);
    return (uint64_t)kib << 10;
}

static uint32_t buffer_bytes(const struct xf_link_cfg *cfg)
{
    uint64_t share;

    if (cfg->rdma_buffer)
        return cfg->rdma_buffer;
    share = available() / DEFAULT_SHARE / (cfg->channels + 1);
    if (share > DEFAULT_MAX)
        return DEFAULT_MAX;
    return share < XF_RDMA_BUFFER_MIN ? XF_RDMA_BUFFER_MIN : (uint32_t)share;
}

static uint32_t bulk_slot(uint32_t bytes)
{
    uint32_t slot = BULK_SLOT;

    while (slot > XF_SLOT_MIN && bytes / slot < BULK_SLOTS)
        slot /= 2;
    return slot;
}

/* Bulk data flows from source to sink; the way back is for answers. */
int xf_rdma_geometry(struct xf_rdma_geometry *g, const struct xf_link_cfg *cfg, bool source,
                     bool small, const struct ibv_device_attr *attr, struct xf_err *err)
{
    uint32_t bytes = buffer_bytes(cfg);
    uint32_t reserve = XF_RDMA_SPARE + XF_RDMA_HS_RECVS, most = XF_SLOTS_MAX;

    if (attr->max_qp_wr < (int)(reserve + XF_RDMA_SPARE + XF_SLOTS_MIN) || attr->max_sge < 1)
        return xf_fail(err, ENOTSUP, "the RDMA device takes only %d work requests in a queue",
                       attr->max_qp_wr);
    if (most > (uint32_t)attr->max_qp_wr - reserve)
        most = (uint32_t)attr->max_qp_wr - reserve;
    if (source || small) {
        g->rx_slot = SMALL_SLOT;
        g->rx_slots = SMALL_SLOTS;
    } else {
        g->rx_slot = bulk_slot(bytes);
        g->rx_slots = bytes / g->rx_slot;
    }
    if (g->rx_slots > most)
        g->rx_slots = most;
    g->window = g->rx_slots;
    if (small) { /* a note takes a slot, too */
        g->rx_slots = g->window + XF_RDMA_SPARE;
        if (g->rx_slots > most)
            g->rx_slots = most;
        g->window = g->rx_slots - XF_RDMA_SPARE;
    }
    g->tx_bytes = source && !small ? bytes : SMALL_SLOT * SMALL_SLOTS;
    if ((uint64_t)g->rx_slot * g->rx_slots > attr->max_mr_size)
        return xf_fail(err, ENOTSUP, "the RDMA device registers at most %llu bytes at once",
                       (unsigned long long)attr->max_mr_size);
    return 0;
}

uint64_t xf_rdma_memory(const struct xf_link_cfg *cfg)
{
    uint64_t small = (uint64_t)SMALL_SLOT * (2 * SMALL_SLOTS + XF_RDMA_SPARE);

    /* queues and the handshake's page count as well; they are small beside the rings */
    return cfg->channels * (buffer_bytes(cfg) + small) + 2 * small;
}

/* Whole huge pages if there are any in the pool; else ask for transparent ones. */
static void *map(size_t *bytes)
{
    size_t whole = (*bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *p = MAP_FAILED;

    if (*bytes >= HUGE_PAGE) {
        p = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1,
                 0);
        if (p != MAP_FAILED)
            *bytes = whole;
    }
    if (p == MAP_FAILED) {
        p = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p != MAP_FAILED)
            madvise(p, *bytes, MADV_HUGEPAGE);
    }
    if (p != MAP_FAILED) /* a child must not make the device and us see different pages */
        madvise(p, *bytes, MADV_DONTFORK);
    return p;
}

int xf_rdma_ring_open(struct xf_rdma_ring *r, struct ibv_pd *pd, uint32_t slot, uint32_t slots,
                      int access, struct xf_err *err)
{
    size_t bytes = (size_t)slot * slots;
    void *p = map(&bytes);

    if (p == MAP_FAILED)
        return xf_fail(err, ENOMEM, "no memory for a ring of %zu KiB", bytes >> 10);
    r->mr = ibv_reg_mr(pd, p, (size_t)slot * slots, access);
    if (!r->mr) {
        int num = errno;

        munmap(p, bytes);
        return xf_fail(err, num,
                       num == ENOMEM || num == EAGAIN
                           ? "registering a ring of %zu KiB: %s: is RLIMIT_MEMLOCK too low?"
                           : "registering a ring of %zu KiB: %s",
                       (size_t)slot * slots >> 10, strerror(num));
    }
    r->base = p;
    r->bytes = bytes;
    r->slot = slot;
    r->slots = slots;
    return 0;
}

void xf_rdma_ring_close(struct xf_rdma_ring *r)
{
    if (!r->base)
        return;
    ibv_dereg_mr(r->mr);
    munmap(r->base, r->bytes);
    r->base = NULL;
}
