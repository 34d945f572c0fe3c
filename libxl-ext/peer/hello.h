/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The hello and the reply as JSON text; parsers are declared in bootstrap.h. */
#ifndef XF_HELLO_H
#define XF_HELLO_H

#include "libxl-ext/peer/bootstrap.h"

/* malloc()ed text, or NULL when memory is short; that of the hello is for xf_secret_free(). */
char *xf_hello_format(const struct xf_hello *h);
char *xf_reply_format(const struct xf_reply *r);

/* What both ends agree on about the data connections over RDMA, or TCP. timeout_ms and
 * stall_ms are each end's own, rdma_poll_us is 0. It points to the hello's key. */
struct xf_link_cfg xf_hello_link_cfg(const struct xf_hello *h, bool rdma, int timeout_ms,
                                     int stall_ms);

#endif
