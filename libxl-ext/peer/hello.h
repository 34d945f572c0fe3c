/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The hello and the reply as JSON text (hello.c); parsers (hello_in.c) are declared in bootstrap.h.
 */
#ifndef XF_HELLO_H
#define XF_HELLO_H

#include "libxl-ext/peer/bootstrap.h"

/* The version of the bootstrap: of preamble, hello and reply. What is spoken on the channels is
 * agreed in them (agree.h), so this one need not change. */
#define XF_BOOTSTRAP_VERSION 1

/* A word beside the names of codecs: an older peer takes it for one that it does not know. */
#define XF_COMPRESS_IN_PULL "pull"
const char *xf_transport_word(enum xf_transport t);

/* malloc()ed text, or NULL when memory is short; that of the hello is for xf_secret_free(). Where
 * `build` is not filled in they speak of this one. */
char *xf_hello_format(const struct xf_hello *h);
char *xf_reply_format(const struct xf_reply *r);

/* What both ends agree on about the data connections over RDMA, or TCP. timeout_ms and
 * stall_ms are each end's own, rdma_poll_us is 0. It points to the hello's key. */
struct xf_link_cfg xf_hello_link_cfg(const struct xf_hello *h, bool rdma, int timeout_ms,
                                     int stall_ms);

#endif
