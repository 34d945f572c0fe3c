/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Compressing and decompressing the pages of a batch, block by block (struct xf_pack in
 * transport/wire.h). compress_policy.h decides whether to.
 *
 * A packer or an unpacker belongs to one thread.
 */
#ifndef XF_PACK_H
#define XF_PACK_H

#include <stdbool.h>
#include <sys/uio.h>

#include "transport/wire.h"

struct xf_packer;

/* The codecs that this build can pack and unpack: XF_CODEC_BIT()s. */
unsigned xf_pack_codecs(void);
/* "lz4", "zstd"; NULL for XF_CODEC_NONE and unknown ones. */
const char *xf_codec_name(enum xf_codec c);

int xf_packer_new(struct xf_packer **out, struct xf_err *err);
void xf_packer_free(struct xf_packer *p); /* NULL allowed */

/*
 * Compress data_pages pages, which iov describes, and fill in k. `still`: nobody writes to them
 * meanwhile. Otherwise each block is copied first: a compressor that saw a page change could make
 * other pages refer to data that the destination never gets.
 *
 * *out is the payload of *len bytes, owned by the packer and valid until the next call. Returns
 * false if nothing is gained; the results must not be used then.
 */
bool xf_pack(struct xf_packer *p, enum xf_codec codec, const struct iovec *iov, int niov,
             bool still, uint32_t data_pages, struct xf_pack *k, uint8_t **out, uint32_t *len);

/* Compress a sample of these pages by LZ4: bytes tried and bytes left. Reads at most 16 KiB. */
void xf_pack_sample(struct xf_packer *p, const struct iovec *iov, int niov, uint64_t *bytes,
                    uint64_t *packed);

struct xf_unpacker;
int xf_unpacker_new(struct xf_unpacker **out, struct xf_err *err);
void xf_unpacker_free(struct xf_unpacker *u); /* NULL allowed */

/* A buffer of XF_PACK_BYTES bytes for a block as received, to be passed to xf_unpack(). */
uint8_t *xf_unpack_buffer(struct xf_unpacker *u);

/*
 * Decompress one block from a peer: its `len` bytes must give exactly `raw` bytes, or it is refused
 * (EBADMSG). Nothing is written beyond to[raw], whatever the block says.
 */
int xf_unpack(struct xf_unpacker *u, uint32_t codec, const uint8_t *from, uint32_t len, uint8_t *to,
              uint32_t raw, struct xf_err *err);

#endif
