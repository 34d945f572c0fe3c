/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `--migration-address`: which addresses of this machine a move uses. Private to libxl-ext. */
#ifndef XF_OWN_ADDRESS_H
#define XF_OWN_ADDRESS_H

#include "transport/transport.h"

#define XF_OWN_MAX 8

struct xf_own {
    unsigned n; /* 0: by the route to the peer */
    char list[XF_OWN_MAX][XF_ADDR_LEN];
};

/* The addresses that `name` denotes: itself if numeric, else those of the RDMA device or network
 * interface; NULL: none. Fails with ENODEV when nothing here has that name. */
int xf_own_addresses(const char *name, struct xf_own *out, struct xf_err *err);

/* The address from which to reach `peer` (numeric): the first of its family, else the first of all,
 * so that connecting reports the error. NULL when n is 0. */
const char *xf_own_for(const struct xf_own *own, const char *peer);

#endif
