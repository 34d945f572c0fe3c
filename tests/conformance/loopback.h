/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A transport within one process: a channel is two streams of bytes in memory, with the envelopes,
 * the channel hello and all the rules of transport.h, and nothing of a network. Whatever a network
 * can do to a channel, a test can do to one of these, at a byte or a message of its choice.
 *
 * "Addresses" are those of this machine's loopback. Nothing is encrypted; the two sides still have
 * to agree on encryption.
 */
#ifndef XF_LOOPBACK_H
#define XF_LOOPBACK_H

#include "transport/transport.h"

extern const struct xf_transport_ops xf_loopback_ops;

enum xf_fault_kind {
    XF_FAULT_DROP = 1,  /* the message does not arrive */
    XF_FAULT_DUPLICATE, /* ... arrives twice */
    XF_FAULT_DELAY,     /* ... arrives `arg` ms later, and so do all behind it */
    XF_FAULT_TRUNCATE,  /* ... arrives without its last `arg` bytes; the next one follows */
    XF_FAULT_CORRUPT,   /* ... arrives with one bit of its byte `arg` changed (0: the first) */
    XF_FAULT_KILL,      /* before byte `arg` of the message every channel of the process is
                           cut: each end learns it from its next call */
    XF_FAULT_SILENCE,   /* the same, but neither end learns it: what is sent goes nowhere */
};

/* A fault of one message of one direction of one channel. */
struct xf_loopback_fault {
    enum xf_fault_kind kind;
    unsigned channel; /* its index */
    bool from_sink;   /* a message that the sink sends; else the source */
    unsigned message; /* 1: the first on this channel in this direction */
    uint32_t arg;
};

/*
 * Inject these faults and no others into channels that are connected from now on. n at most 16; n =
 * 0 is a network without faults.
 */
void xf_loopback_faults(const struct xf_loopback_fault *list, unsigned n);

/* How many of these faults have occurred. */
unsigned xf_loopback_hits(void);

/* Messages that have been sent so far on the newest open channel of this index. */
unsigned xf_loopback_messages(unsigned channel, bool from_sink);

/* Cut every channel that is open now, as XF_FAULT_KILL or XF_FAULT_SILENCE does. */
void xf_loopback_cut(enum xf_fault_kind kind);

#endif
