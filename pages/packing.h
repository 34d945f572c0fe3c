/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A batch on its way: sent as it is, or compressed where that is faster, and received either
 * way. What pays is compress_policy.h's to say, how it is done pack.h's; here the two meet a
 * channel. Bulk only: an answer that a guest waits for is never compressed.
 *
 * A struct xf_packing belongs to one thread; the rule is shared by those that send.
 */
#ifndef XF_PACKING_H
#define XF_PACKING_H

#include <pthread.h>

#include "pages/compress_policy.h"
#include "pages/pack.h"
#include "transport/transport.h"
#include "transport/lock.h"

XF_LOCK_ROLE(xf_packing_lock);

/* What pays, for all threads that send by the same link. */
struct xf_packing_rule {
    pthread_mutex_t lock;
    struct xf_compress_policy policy XF_GUARDED(xf_packing_lock);
};

/* threads: how many send. None may be using the rule; nothing has to be freed. */
void xf_packing_rule_init(struct xf_packing_rule *rule, const struct xf_compress_opts *opts,
                          unsigned threads);

struct xf_packing {
    struct xf_packing_rule *rule;
    struct xf_packer *packer;     /* NULL: nothing is ever compressed */
    struct xf_compress_batch was; /* how the last batch went */
    enum xf_codec sent_as;        /* not was.codec if that was tried and gained nothing */
    struct xf_pack pack;
    unsigned least; /* data pages of a batch that is compressed; XF_COMPRESS_PAGES unless changed */
};

/* The rule is the caller's and outlives it. -1: out of memory, and nothing has to be freed. */
int xf_packing_init(struct xf_packing *k, struct xf_packing_rule *rule, struct xf_err *err);
void xf_packing_free(struct xf_packing *k); /* a zeroed one is allowed */

/*
 * Send the batch, whose data pages iov describes (niov pieces; changed). `still` as in
 * xf_pack(). meta: XF_META_MAX bytes of scratch. Blocks as the transport does; its errors.
 */
int xf_packing_send(struct xf_packing *k, const struct xf_transport_ops *t, struct xf_chan *chan,
                    struct xf_batch *b, struct iovec *iov, int niov, bool still, uint8_t *meta,
                    struct xf_err *err);

/* After a batch was sent, tell the policy: all that was done for it began at `began` (xf_now()),
 * and waited_s of that went by waiting for the link outside xf_packing_send(). */
void xf_packing_sent(struct xf_packing *k, double began, double waited_s);

/*
 * The other end. A BATCH's or PACKED's meta part: batch, and pack (nr_blocks 0: not compressed).
 */
int xf_packing_decode(struct xf_pack *pack, struct xf_batch *b, const struct xf_msg *m,
                      const uint8_t *meta, uint64_t nr_gfns, struct xf_err *err);

/* Its data pages, in their order, to `to`, which has room for all of them. *unpacker is made
 * when it is first needed, and the caller's to free. Errors: the transport's; EBADMSG: what came
 * cannot be decompressed; ENOMEM. */
int xf_packing_receive(struct xf_unpacker **unpacker, const struct xf_transport_ops *t,
                       struct xf_chan *chan, const struct xf_pack *pack, const struct xf_batch *b,
                       uint8_t *to, struct xf_err *err);

#endif
