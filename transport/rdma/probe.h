/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this machine can do over RDMA, asked before a move begins (CHECK). Nothing here
 * connects to a peer or needs a channel. Every call may be made by any thread, and takes
 * milliseconds unless it says otherwise.
 */
#ifndef XF_RDMA_PROBE_H
#define XF_RDMA_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/err.h"
#include "transport/transport.h"

#define XF_RDMA_DEVICES_MAX 16
#define XF_RDMA_ADDRS_MAX 8
#define XF_RDMA_NAME 64

/* One port of one device. */
struct xf_rdma_device {
    char name[XF_RDMA_NAME]; /* "mlx5_0", "rxe0": from ibv_get_device_name */
    unsigned port;           /* from 1 */
    bool active;             /* ibv_query_port says ACTIVE */
    bool usable;             /* InfiniBand or RoCE: WRITE WITH IMMEDIATE exists (not iWARP) */
    char state[24];          /* the port's state in the verbs library's words: "PORT_DOWN" */
    char addr[XF_RDMA_ADDRS_MAX][XF_ADDR_LEN]; /* numeric addresses a peer may reach it by, */
    int nr_addr;                               /* as rdma_cm assigns them; global scope first */
    unsigned mtu;         /* bytes of payload in a packet, at most (active MTU) */
    unsigned max_qp_wr;   /* work requests of one queue; these three are from ibv_query_device */
    unsigned max_sge;     /* pieces of one work request */
    uint64_t max_mr_size; /* bytes of one memory region */
};

/*
 * Every port of every RDMA device of this machine, active or not. Returns their number (at
 * most max, the rest is left out); 0 if there is none, or if the kernel's user interface to
 * RDMA (ib_uverbs, rdma_ucm) is not loaded. Never fails.
 */
int xf_rdma_devices(struct xf_rdma_device *out, int max);

/*
 * Whether rdma_cm finds an address and a route to `host` (numeric or a name), from the local
 * address `src` or any (NULL). Does not check whether anybody listens there. Takes up to
 * timeout_ms, and the time of getaddrinfo. Fails with ENODEV (no device, or none that leads there),
 * EADDRNOTAVAIL (host or src is not an address, or src is not ours), EHOSTUNREACH, ETIMEDOUT,
 * EPERM.
 */
int xf_rdma_can_reach(const char *host, const char *src, int timeout_ms, struct xf_err *err);

/*
 * Whether this process may register `bytes` of memory in all: registers a small region with
 * the first active device, and frees it. Fails with ENOMEM, naming RLIMIT_MEMLOCK and the
 * value needed, if the limit is too low and really applies (CAP_IPC_LOCK lifts it); with
 * ENODEV if there is no active device; with the provider's errno if it refuses registration.
 */
int xf_rdma_memlock_ok(uint64_t bytes, struct xf_err *err);

/* Bytes of registered memory that one side of a move with this configuration needs. */
uint64_t xf_rdma_memory(const struct xf_link_cfg *cfg);

#endif
