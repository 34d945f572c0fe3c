/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which version of the wire protocol two builds of Xenferry speak to each other. Each says in its
 * hello or reply what it speaks; both find the same answer by themselves.
 *
 * Any thread; no state.
 */
#ifndef XF_AGREE_H
#define XF_AGREE_H

#include "transport/err.h"

#define XF_RELEASE_BYTES 32

/* A build of Xenferry, as it presents itself. */
struct xf_build {
    unsigned newest, oldest;        /* versions of the wire protocol; newest 0: not filled in */
    char release[XF_RELEASE_BYTES]; /* of Xenferry, "0.9.0"; empty: one from before it was said */
};

/* This one. */
struct xf_build xf_build_here(void);

/*
 * The version that the two will speak: the newest that both understand. EPROTONOSUPPORT if there is
 * none; the sentence names both releases and the remedy. `there` is the peer's.
 */
int xf_agree(const struct xf_build *here, const struct xf_build *there, unsigned *version,
             struct xf_err *err);

#endif
