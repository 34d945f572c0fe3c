/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The hello and the reply as JSON text (hello.c); parsers (hello_in.c) are declared in bootstrap.h.
 */
#ifndef XF_HELLO_H
#define XF_HELLO_H

#include "libxl-ext/peer/bootstrap.h"

/* The version of the bootstrap: of preamble, hello and reply. They negotiate the version spoken on
 * the channels (agree.h), so this one need not change. */
#define XF_BOOTSTRAP_VERSION 1

/* A word among the names of codecs: an older peer treats it as an unknown codec. */
#define XF_COMPRESS_IN_PULL "pull"
const char *xf_transport_word(enum xf_transport t);

/* malloc()ed text, or NULL: no memory; free the hello's with xf_secret_free(). If `build` is not
 * filled in, the running build is described. */
char *xf_hello_format(const struct xf_hello *h);
char *xf_reply_format(const struct xf_reply *r);

/* The parameters both ends agree on for the data connections over RDMA, or TCP. timeout_ms and
 * stall_ms are each end's own, rdma_poll_us is 0. The result points to the hello's key. */
struct xf_link_cfg xf_hello_link_cfg(const struct xf_hello *h, bool rdma, int timeout_ms,
                                     int stall_ms);

#endif
