/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Are the two images equal? Each side reads its own and hashes it (XXH3-128 of chunks of 256 KiB);
 * only hashes cross. The guest writes meanwhile, so what differs is looked at again, until nothing
 * does or a few chunks are left that the guest keeps writing to ("hot"): those are compared once
 * more when it is suspended and the mirror is done.
 *
 * The source asks (XF_MSG_DISK_ASK: which chunks), the destination answers (XF_MSG_DISK_HASHES), on
 * a channel of its own, not the relay's. A hash is no proof against a destination that lies: it has
 * the guest anyway.
 *
 * One thread at a time for each struct.
 */
#ifndef XF_VERIFY_H
#define XF_VERIFY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "transport/transport.h"

#define XF_VERIFY_CHUNK (256u << 10) /* the last one of an image may be shorter */
#define XF_VERIFY_HASH 16u           /* bytes */
#define XF_VERIFY_ASK 128u           /* chunks in one question, at most */
#define XF_VERIFY_PASSES 10u
#define XF_VERIFY_HOT 64u
#define XF_VERIFY_SIZE_MAX (1ull << 50) /* of an image */

/* One side's image. */
struct xf_verify_image {
    int fd;
    uint64_t size;
    void *buffer; /* a chunk's */
};
/* The number of chunks of an image. */
static inline uint64_t xf_verify_chunks(uint64_t size)
{
    return (size + XF_VERIFY_CHUNK - 1) / XF_VERIFY_CHUNK;
}

/*
 * fd stays the caller's and need not be open for writing. direct: read the device, not this host's
 * page cache, where the file system can: for the destination, whose bytes must have arrived. The
 * source reads the page cache that it shares with QEMU. EINVAL: a size of 0 or beyond
 * XF_VERIFY_SIZE_MAX.
 */
int xf_verify_open(struct xf_verify_image *v, int fd, uint64_t size, bool direct,
                   struct xf_err *err);
void xf_verify_close(struct xf_verify_image *v);

/* --- the source --- */

struct xf_verify {
    struct xf_verify_image *image;
    const struct xf_transport_ops *ops;
    struct xf_chan *chan;          /* the caller's; its watch is not changed */
    struct xf_verify_image *local; /* in place of ops and chan: the copy is on this host, too */

    /* May be read by other threads at any time, for progress. */
    _Atomic uint64_t checked; /* bytes compared, of image->size, in this pass */
    _Atomic unsigned pass;    /* 1..XF_VERIFY_PASSES; 0: not begun */
    uint64_t again;           /* chunks that differed in the first pass */

    uint64_t hot[XF_VERIFY_HOT]; /* chunks to be compared when the guest is suspended */
    unsigned nr_hot;
};

/*
 * Compare all of it, the guest running, the mirror READY. tick is called between questions and
 * while waiting between passes. EILSEQ: too much differs after the last pass: the copy is wrong, or
 * the link too slow for what the guest writes. Errors of reading, and of the channel.
 */
int xf_verify_run(struct xf_verify *v, struct xf_tick tick, struct xf_err *err);
/* The hot ones once more: the guest is suspended, the mirror done, and the destination's image
 * flushed. EILSEQ: one differs. */
int xf_verify_hot(struct xf_verify *v, struct xf_err *err);
/* No question follows. */
int xf_verify_end(struct xf_verify *v, struct xf_err *err);

/* --- the destination --- */

/* Answer until the source asks no more: 0. Blocks; end it by the channel's abort. */
int xf_verify_serve(struct xf_verify_image *image, const struct xf_transport_ops *ops,
                    struct xf_chan *chan, struct xf_err *err);

/* --- on the wire --- */

/* A question: chunk numbers that ascend, 8 bytes each. chunks: of the image. Returns the length. */
size_t xf_verify_ask_encode(const uint64_t *chunk, unsigned n, void *meta);
int xf_verify_ask_decode(uint64_t chunk[XF_VERIFY_ASK], unsigned *n, const struct xf_msg *m,
                         const void *meta, uint64_t chunks, struct xf_err *err);

#endif
