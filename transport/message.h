/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages on an ordered stream of bytes, for the transports that have one: writes frame.h's
 * envelope before each message sent, and checks it on each one received. The calls do what
 * transport.h promises of send, recv and recv_payload; the transport supplies the ops that move
 * bytes.
 */
#ifndef XF_MESSAGE_H
#define XF_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "transport/err.h"
#include "transport/iter.h"
#include "transport/tick.h"
#include "transport/transport.h"

/* The bytes of a channel. Each returns -1 with err set when it fails. */
struct xf_stream_ops {
    /* Send all of head, then all of body. */
    int (*send)(struct xf_chan *c, struct xf_iter *head, struct xf_iter *body, struct xf_err *err);
    /* Wait until there is something to receive; timeout_ms, XF_AGAIN and errors as in
     * xf_transport_ops.recv. */
    int (*fill)(struct xf_chan *c, int timeout_ms, struct xf_err *err);
    /* Receive as many bytes as `to` wants. */
    int (*recv)(struct xf_chan *c, struct xf_iter *to, struct xf_err *err);
};

/* Part of a channel; belongs to the channel's thread. */
struct xf_messages {
    const struct xf_stream_ops *ops;
    struct xf_chan *chan;
    const char *who;       /* the channel, for errors; lives as long as the channel */
    uint32_t payload_left; /* of the message last received */
    int64_t waited_ms;     /* time spent on its bytes after the first */
    int64_t allowed_ms;    /* time allowed for them, beyond the channel's stall_ms */
    int64_t ticked;        /* on xf_now_ms() */
    struct xf_tick tick;   /* as set by watch (transport.h) */
};

/* A stream's wait within a message, for more of it or for room to send more. In slices. */
struct xf_wait {
    struct xf_messages *s;
    int stall_ms;
    bool input;    /* waits for more of a message that has begun to arrive */
    int64_t at;    /* waited_ms is counted up to here, on xf_now_ms() */
    int64_t moved; /* when the peer last made progress */
};
struct xf_wait xf_wait_begin(struct xf_messages *s, int stall_ms, bool input);
/* How long to sleep at most, ms; -1: for ever. */
int xf_wait_slice(const struct xf_wait *w);
/* Call after each slice; moved: the peer made progress meanwhile. -1: the watch's tick failed, or
 * this message has taken too long (ETIMEDOUT). */
int xf_wait_on(struct xf_wait *w, bool moved, struct xf_err *err);

int xf_message_send(struct xf_messages *s, const struct xf_msg *m, const void *meta,
                    const struct iovec *iov, int niov, struct xf_err *err);
int xf_message_recv(struct xf_messages *s, struct xf_msg *m, void *meta, int timeout_ms,
                    struct xf_err *err);
int xf_message_recv_payload(struct xf_messages *s, const struct iovec *iov, int niov,
                            struct xf_err *err);

#endif
