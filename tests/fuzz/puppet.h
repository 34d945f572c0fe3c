/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A transport with nobody behind it: what "arrives" on a channel the fuzz target says, message by
 * message, and what is sent it gets to see. So one side of a move, threads and all, can be driven
 * from an input without a network, a clock or a second side.
 *
 * Channels as in a link: 0 control, 1..bulk, then the urgent one.
 */
#ifndef XF_FUZZ_PUPPET_H
#define XF_FUZZ_PUPPET_H

#include <pthread.h>
#include <stdbool.h>

#include "transport/link.h"

#define PUPPET_BULK_MAX 4u
#define PUPPET_CHANNELS (PUPPET_BULK_MAX + 2)
#define PUPPET_URGENT(bulk) ((bulk) + 1u)

struct puppet;

enum puppet_next {
    PUPPET_MESSAGE, /* *m and meta are the next message */
    PUPPET_NOTHING, /* not now */
    PUPPET_END,     /* the peer has closed the connection */
};

/* All of them are called with the puppet's lock, by the thread that uses the channel. */
struct puppet_ops {
    enum puppet_next (*next)(struct puppet *p, unsigned chan, struct xf_msg *m, uint8_t *meta);
    /* Byte i of the payload of the message that was given last on this channel. NULL: i. */
    uint8_t (*payload)(struct puppet *p, unsigned chan, uint32_t i);
    void (*sent)(struct puppet *p, unsigned chan, const struct xf_msg *m, const uint8_t *meta);
    /* The control channel's thread has waited, and nobody is at work. May be NULL. */
    void (*idle)(struct puppet *p);
};

struct xf_chan {
    struct puppet *p;
    unsigned index;
    bool busy; /* its thread works on the message that it was given */
    bool aborted;
    int wake; /* eventfd, for pollfd; -1: none */
    uint32_t payload_left, payload_at;
};

struct puppet {
    const struct puppet_ops *ops;
    void *priv;
    /* A message is given only when no other channel's is being worked on: then the order of
     * messages is the order in which they have their effect. */
    bool one_by_one;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned bulk;
    struct xf_chan chans[PUPPET_CHANNELS];
};

/* One for the life of the program; between two inputs the channels are made anew. */
void puppet_init(struct puppet *p, const struct puppet_ops *ops, void *priv);
/* A link of this puppet; the link is closed by xf_link_close(). */
void puppet_connect(struct puppet *p, struct xf_link *l, unsigned bulk);
/* Is nobody at work on a message? With the lock. */
bool puppet_at_rest(const struct puppet *p);

#endif
