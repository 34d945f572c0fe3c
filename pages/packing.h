/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sending a batch as it is, or compressed where that is faster, and receiving it either way.
 * compress_policy.h decides what pays and pack.h compresses; this connects both to a channel. Bulk
 * only: an answer that a guest waits for is never compressed.
 *
 * A struct xf_packing belongs to one thread; the rule is shared by all sending threads.
 */
#ifndef XF_PACKING_H
#define XF_PACKING_H

#include <pthread.h>

#include "pages/compress_policy.h"
#include "pages/pack.h"
#include "transport/transport.h"
#include "transport/lock.h"

XF_LOCK_ROLE(xf_packing_lock);

/* The policy that all threads sending on the same link share. */
struct xf_packing_rule {
    pthread_mutex_t lock;
    struct xf_compress_policy policy XF_GUARDED(xf_packing_lock);
};

/* threads: how many send. No thread may be using the rule; there is nothing to free. */
void xf_packing_rule_init(struct xf_packing_rule *rule, const struct xf_compress_opts *opts,
                          unsigned threads);

struct xf_packing {
    struct xf_packing_rule *rule;
    struct xf_packer *packer;     /* NULL: nothing is ever compressed */
    struct xf_compress_batch was; /* how the last batch went */
    enum xf_codec sent_as;        /* not was.codec if that was tried and gained nothing */
    struct xf_pack pack;
    unsigned least; /* fewest data pages of a compressed batch; XF_COMPRESS_PAGES unless changed */
};

/* The rule is the caller's and outlives k. -1: out of memory, and there is nothing to free. */
int xf_packing_init(struct xf_packing *k, struct xf_packing_rule *rule, struct xf_err *err);
void xf_packing_free(struct xf_packing *k); /* a zeroed one is allowed */

/*
 * Send the batch, whose data pages iov describes (niov pieces; changed). `still` as in
 * xf_pack(). meta: XF_META_MAX bytes of scratch. Blocks as the transport does; its errors.
 */
int xf_packing_send(struct xf_packing *k, const struct xf_transport_ops *t, struct xf_chan *chan,
                    struct xf_batch *b, struct iovec *iov, int niov, bool still, uint8_t *meta,
                    struct xf_err *err);

/* After a batch was sent, report it to the policy: work on it began at `began` (xf_now()), and
 * waited_s of the time since was spent waiting for the link outside xf_packing_send(). */
void xf_packing_sent(struct xf_packing *k, double began, double waited_s);

/*
 * The receiving end: decode the meta part of a BATCH or PACKED into b and pack (nr_blocks 0: not
 * compressed).
 */
int xf_packing_decode(struct xf_pack *pack, struct xf_batch *b, const struct xf_msg *m,
                      const uint8_t *meta, uint64_t nr_gfns, struct xf_err *err);

/* Receive its data pages, in order, into `to`, which has room for all of them. *unpacker is made
 * when it is first needed; the caller frees it. Errors: the transport's; EBADMSG: the payload
 * cannot be decompressed; ENOMEM. */
int xf_packing_receive(struct xf_unpacker **unpacker, const struct xf_transport_ops *t,
                       struct xf_chan *chan, const struct xf_pack *pack, const struct xf_batch *b,
                       uint8_t *to, struct xf_err *err);

#endif
