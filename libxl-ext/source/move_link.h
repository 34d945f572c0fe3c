/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The data connections of a move at the source: making and replacing them. The move's thread
 * only. */
#ifndef XF_MOVE_LINK_H
#define XF_MOVE_LINK_H

#include "libxl-ext/source/move.h"
#include "libxl-ext/peer/check.h"
#include "postcopy/rejoin.h"

/* CHECK: choose the transport, open the control channel. Also 0 when that is not possible: then the
 * findings hold a refusal and there is no control channel. */
int xf_move_connect(struct xf_move *m, struct xf_findings *found, struct xf_err *err);
/* SKELETON: the bulk channels. */
int xf_move_connect_bulk(struct xf_move *m, struct xf_err *err);
/* COPY: xf_copy.relink. Over the transport in use so far; over TCP if that was RDMA and the move
 * may use either. Gives up after opts.reconnect_s without progress. */
int xf_move_relink(void *priv, const struct xf_err *why, struct xf_err *err);
bool xf_move_uses_rdma(const struct xf_move *m);
/* PULL: how the present link would be replaced. */
void xf_move_rejoin(const struct xf_move *m, struct xf_rejoin *r);

/* DISKS: connect channel n for disks, over TCP, to where the link goes; *out is the caller's, and
 * xf_tcp_ops'. */
int xf_move_connect_disk(struct xf_move *m, unsigned n, struct xf_chan **out, struct xf_err *err);

#endif
