/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Accepting connections, whatever the transport: a bounded table of unfinished handshakes
 * behind one poll(), so that a slow or hostile peer holds up nobody. Each handshake's time is
 * bounded as well. The table knows places, descriptors and deadlines; what a step of a
 * handshake is, and what it owns, the transport's listener says, with its own array of
 * XF_HANDSHAKES of them.
 *
 * All calls but xf_handshakes_abort() are the listener's thread's.
 */
#ifndef XF_HANDSHAKES_H
#define XF_HANDSHAKES_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>

#include "transport/err.h"

struct xf_chan;
struct xf_chan_id;
struct xf_listener; /* each transport has its own */

#define XF_HANDSHAKES 32u /* a whole move of 18 channels may come at once */

enum xf_handshake_step {
    XF_HANDSHAKE_GOES_ON = 0,
    XF_HANDSHAKE_DONE = 1,  /* *out and *id are set; the channel is the caller's */
    XF_HANDSHAKE_ENDED = 2, /* a stranger, or one who went away: to be cancelled in silence */
};

struct xf_handshakes_ops {
    /* The listening descriptor is readable: take what came, each to a place of its own. -1: this
     * side can serve nobody any more. */
    int (*take)(struct xf_listener *l, struct xf_err *err);
    /* The descriptor of handshake i is ready: one step. *events may be set to what the next one
     * waits for. enum xf_handshake_step, or -1: a peer who knows the key is refused, as err
     * says; it will be cancelled. */
    int (*step)(struct xf_listener *l, unsigned i, short *events, struct xf_chan **out,
                struct xf_chan_id *id, struct xf_err *err);
    /* Give up handshake i with all that it has. */
    void (*cancel)(struct xf_listener *l, unsigned i);
};

/* Who shares one allowance of places: an IPv4 address, or the /64 of an IPv6 address, which is
 * what one host can choose its addresses from. */
struct xf_neighbourhood {
    sa_family_t family; /* AF_INET also of an IPv4 peer that a dual-stack socket sees */
    uint8_t prefix[8];
};
struct xf_neighbourhood xf_neighbourhood(const struct sockaddr *sa);

struct xf_handshakes {
    const struct xf_handshakes_ops *ops;
    struct xf_listener *listener;
    int wake;            /* eventfd, readable once aborted */
    atomic_bool aborted; /* any thread */
    struct {
        int fd; /* -1: the place is free */
        short events;
        int64_t deadline; /* on xf_now_ms() */
        struct xf_neighbourhood from;
    } place[XF_HANDSHAKES];
};

/* Before all else of a listener; on failure, too, h can be closed. */
int xf_handshakes_open(struct xf_handshakes *h, const struct xf_handshakes_ops *ops,
                       struct xf_listener *l, struct xf_err *err);
/* Cancels those that are left. */
void xf_handshakes_close(struct xf_handshakes *h);

/*
 * A free place for a new handshake with the peer at sa, before it costs anything. If there is none,
 * the oldest of the neighbourhood that has the most places is cancelled, the new one counted; among
 * equals it is the new one's own. So a flood from one of them pushes out nobody else.
 */
unsigned xf_handshakes_room(struct xf_handshakes *h, const struct sockaddr *sa);
/* The new one is at this place, waits for `events` on fd and has timeout_ms in all. */
void xf_handshakes_begin(struct xf_handshakes *h, unsigned i, int fd, short events, int timeout_ms);
/* Cancel handshake i; its place is free again. */
void xf_handshakes_drop(struct xf_handshakes *h, unsigned i);

/* The accept of transport.h, with the descriptor that announces new connections. */
int xf_handshakes_accept(struct xf_handshakes *h, int listen_fd, int timeout_ms,
                         struct xf_chan **out, struct xf_chan_id *id, struct xf_err *err);
/* Its abort_accept. Any thread. */
void xf_handshakes_abort(struct xf_handshakes *h);

#endif
