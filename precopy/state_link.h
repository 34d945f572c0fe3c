/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest's state (transport/state.h) on the control channel, in the link's protocol version.
 * Called by the channel's thread. */
#ifndef XF_STATE_LINK_H
#define XF_STATE_LINK_H

#include "transport/link.h"
#include "transport/state.h"

int xf_state_send(struct xf_link *l, const struct xf_state *s, struct xf_err *err);

/* An XF_MSG_STATE has arrived as m and meta (XF_META_MAX bytes, overwritten): receive its
 * payload and add it to `in`. in->complete tells whether it was the last one. */
int xf_state_receive(struct xf_link *l, struct xf_state_in *in, const struct xf_msg *m,
                     uint8_t *meta, struct xf_err *err);

#endif
