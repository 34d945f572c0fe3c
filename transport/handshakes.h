/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Accepting connections, whatever the transport: a bounded table of unfinished handshakes behind
 * one poll(), so that a slow or hostile peer holds up nobody. Each handshake's time is bounded as
 * well. The table knows places, descriptors and deadlines; the transport's listener defines the
 * steps of a handshake and what it owns, in its own array of XF_HANDSHAKES.
 *
 * All calls but xf_handshakes_abort() belong to the listener's thread.
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

#define XF_HANDSHAKES 32u /* all 18 channels of a move may arrive at once */

enum xf_handshake_step {
    XF_HANDSHAKE_GOES_ON = 0,
    XF_HANDSHAKE_DONE = 1,  /* *out and *id are set; the channel is the caller's */
    XF_HANDSHAKE_ENDED = 2, /* a stranger, or the peer has left: cancel it silently */
};

struct xf_handshakes_ops {
    /* The listening descriptor is readable: take what has arrived, each connection to a place of
     * its own. -1: this side cannot take connections any more. */
    int (*take)(struct xf_listener *l, struct xf_err *err);
    /* The descriptor of handshake i is ready: do one step. *events may be set to what the next step
     * waits for. Returns enum xf_handshake_step, or -1: a peer that knows the key is refused, for
     * the reason in err; the handshake will be cancelled. */
    int (*step)(struct xf_listener *l, unsigned i, short *events, struct xf_chan **out,
                struct xf_chan_id *id, struct xf_err *err);
    /* Give up handshake i and free all that it owns. */
    void (*cancel)(struct xf_listener *l, unsigned i);
};

/* Peers that share one allowance of places: one IPv4 address, or one /64 of IPv6, from which a
 * single host can choose its addresses. */
struct xf_neighbourhood {
    sa_family_t family; /* AF_INET also for an IPv4 peer on a dual-stack socket */
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

/* Before anything else in a listener. h can be closed even after a failure. */
int xf_handshakes_open(struct xf_handshakes *h, const struct xf_handshakes_ops *ops,
                       struct xf_listener *l, struct xf_err *err);
/* Cancels the handshakes that are left. */
void xf_handshakes_close(struct xf_handshakes *h);

/*
 * Returns a free place for a new handshake with the peer at sa, before it costs anything. If there
 * is none, the oldest handshake of the neighbourhood with the most places (the new one counted) is
 * cancelled; in a tie, of the new one's own. So a flood from one neighbourhood pushes out nobody
 * else.
 */
unsigned xf_handshakes_room(struct xf_handshakes *h, const struct sockaddr *sa);
/* The new handshake is at place i, waits for `events` on fd and has timeout_ms in all. */
void xf_handshakes_begin(struct xf_handshakes *h, unsigned i, int fd, short events, int timeout_ms);
/* Cancel handshake i; its place is free again. */
void xf_handshakes_drop(struct xf_handshakes *h, unsigned i);

/* The accept op of transport.h; listen_fd is the descriptor that announces new connections. */
int xf_handshakes_accept(struct xf_handshakes *h, int listen_fd, int timeout_ms,
                         struct xf_chan **out, struct xf_chan_id *id, struct xf_err *err);
/* The abort_accept op. Any thread. */
void xf_handshakes_abort(struct xf_handshakes *h);

#endif
