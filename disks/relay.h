/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A relay joins a Unix socket to a channel: QEMU's NBD client at the source, qemu-nbd at the
 * destination. It parses nothing. A thread of its own moves the bytes, both ways, until one side
 * ends; then it closes both. On the channel are XF_MSG_DISK_BYTES, whose payload is a piece of the
 * stream, and XF_MSG_DISK_END, after which none follows.
 *
 * A relay ends by close(), never by shutdown() alone: QEMU would sleep for ever.
 *
 * An answer that is overdue ends it, too: QEMU's main loop may wait for one (mirror.h). So the
 * listening side gives up when it has passed something on, no answer has come, and nothing at all
 * has moved for stall_ms (ETIMEDOUT). It does not know how many answers are due: of several
 * requests one that is never answered goes unnoticed if nothing follows it, so that whoever waits
 * for a mirror's end needs a limit as well.
 *
 * All calls belong to one thread, except abort, look and ended.
 */
#ifndef XF_RELAY_H
#define XF_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/transport.h"

#define XF_RELAY_STALL_MS 10000
#define XF_RELAY_PIECE (256u << 10) /* bytes of one message, at most */

struct xf_relay;

struct xf_relay_look {
    uint64_t up, down; /* bytes of the stream: from the socket to the channel, and back */
    uint64_t wire;     /* bytes on the wire, both directions */
    bool joined;       /* a client has connected to the socket */
};

/*
 * Source: listen at `path` (mode 0600; a socket left there is removed; its directory is root's
 * alone) for one client, and relay to channel c. On success c belongs to the relay, which is open:
 * what connects is relayed at once. Errors of bind(2), ENAMETOOLONG.
 */
int xf_relay_listen(struct xf_relay **out, const char *path, const struct xf_transport_ops *ops,
                    struct xf_chan *c, int stall_ms, struct xf_err *err);

/* Destination: relay between fd, a connected stream socket, and channel c. On success both belong
 * to the relay. Nothing is ever overdue here: the client may be silent. */
int xf_relay_join(struct xf_relay **out, int fd, const struct xf_transport_ops *ops,
                  struct xf_chan *c, struct xf_err *err);

/* Any thread. */
void xf_relay_look(struct xf_relay *r, struct xf_relay_look *out);
/* Has it ended? XF_AGAIN: it runs; 0: yes, in order (this side's socket or the peer's was closed);
 * -1: with this error. Waits for at most timeout_ms. Any thread. */
int xf_relay_ended(struct xf_relay *r, int timeout_ms, struct xf_err *err);

/* End it from here; both sides are closed soon. Any thread. */
void xf_relay_abort(struct xf_relay *r);

/* Abort, wait until both sides are closed, remove the socket, free. NULL is allowed. */
void xf_relay_close(struct xf_relay *r);

#endif
