/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Agreeing on the version of the wire protocol between two builds of Xenferry. Each states in its
 * hello or reply which versions it supports; both then derive the same answer independently.
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
    char release[XF_RELEASE_BYTES]; /* of Xenferry, "0.9.0"; empty: too old to state it */
};

/* The build that is running. */
struct xf_build xf_build_here(void);

/*
 * The version to speak: the newest that both support. EPROTONOSUPPORT if there is none; the error
 * names both releases and the remedy. `there` is the peer's.
 */
int xf_agree(const struct xf_build *here, const struct xf_build *there, unsigned *version,
             struct xf_err *err);

#endif
