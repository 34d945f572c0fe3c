/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The data connections of a recorded move, for tests that take over its sink without everything
 * that `xl migrate-recover` does. */
#ifndef XF_RECORD_LINK_H
#define XF_RECORD_LINK_H

#include "libxl-ext/moves/record.h"
#include "transport/transport.h"

/* The result points to the record's key. */
static inline struct xf_link_cfg record_link_cfg(const struct xf_record *r, int timeout_ms,
                                                 int stall_ms)
{
    return (struct xf_link_cfg){
        .version = r->protocol,
        .key = &r->key,
        .channels = r->channels,
        .encrypt = r->encrypt,
        .timeout_ms = timeout_ms,
        .stall_ms = stall_ms,
        .rdma_buffer = r->rdma_buffer_mib << 20,
        .rdma_poll_us = r->rdma_poll_us,
    };
}

#endif
