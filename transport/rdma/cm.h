/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rdma_cm with deadlines and with the error convention of the tree: shared by probe.c,
 * connect.c and listen.c. One thread at a time.
 */
#ifndef XF_RDMA_CM_H
#define XF_RDMA_CM_H

#include <netdb.h>
#include <rdma/rdma_cma.h>
#include <stdbool.h>
#include <stdint.h>

#include "transport/err.h"

/* A non-blocking event channel. NULL on failure: ENODEV if the kernel has no rdma_cm. */
struct rdma_event_channel *xf_cm_channel(struct xf_err *err);

/* An id of our port space on that channel. NULL on failure. */
struct rdma_cm_id *xf_cm_id(struct rdma_event_channel *ch, void *context, struct xf_err *err);

/* The next event, taken but not acknowledged. 1: none is pending. */
int xf_cm_next(struct rdma_event_channel *ch, struct rdma_cm_event **ev, struct xf_err *err);

/*
 * Wait until `deadline` (xf_now_ms) for the event `want`, and acknowledge it. Any other event is
 * the failure it stands for. Up to `max` bytes of the event's private data, even a rejection's, are
 * copied to `data`; *len says how many. `doing` names the step, for errors.
 */
int xf_cm_await(struct rdma_event_channel *ch, enum rdma_cm_event_type want, int64_t deadline,
                const char *doing, void *data, size_t max, size_t *len, struct xf_err *err);

/* Resolve the address, then the route, by `deadline`. */
int xf_cm_resolve(struct rdma_cm_id *id, const struct addrinfo *to, const char *src,
                  int64_t deadline, struct xf_err *err);

/* Bind to a local address (numeric), port 0. */
int xf_cm_bind_source(struct rdma_cm_id *id, const char *src, int family, struct xf_err *err);

/* Whether verbs devices of this kind can do WRITE WITH IMMEDIATE. */
bool xf_cm_usable(const struct ibv_device *dev);

#endif
