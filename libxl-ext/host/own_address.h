/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `--migration-address`: what of this machine a move shall use. Private to libxl-ext. */
#ifndef XF_OWN_ADDRESS_H
#define XF_OWN_ADDRESS_H

#include "transport/transport.h"

#define XF_OWN_MAX 8

struct xf_own {
    unsigned n; /* 0: whatever leads to the peer */
    char list[XF_OWN_MAX][XF_ADDR_LEN];
};

/* The addresses that `name` stands for: a numeric one itself, those of an RDMA device or a
 * network interface; NULL: none. Fails with ENODEV when nothing here is called so. */
int xf_own_addresses(const char *name, struct xf_own *out, struct xf_err *err);

/* The one to reach `peer` (numeric) from: the first of its family; if there is none, the first
 * of all, so that connecting says what is wrong. NULL when n is 0. */
const char *xf_own_for(const struct xf_own *own, const char *peer);

#endif
