/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Compressing and decompressing batches: see pack.h. */
#include "pages/pack.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <lz4.h>
#include <zstd.h>

#include "transport/bytes.h"

/* The fastest of zstd's own levels: a link slow enough for a better one is rare, and the processors
 * belong to the guests. */
#define ZSTD_LEVEL 1
/* A block must shrink by 1/GAIN_PART, or it is sent uncompressed. */
#define GAIN_PART 16u
/* Of a sample: places, and pages at each. */
#define SAMPLE_PLACES 2u
#define SAMPLE_PAGES 2u

struct xf_packer {
    void *lz4;
    ZSTD_CCtx *zstd;
    uint8_t block[XF_PACK_BYTES]; /* pages that do not change any more */
    uint8_t sample[SAMPLE_PAGES * XF_PAGE_SIZE];
    uint8_t out[XF_PAYLOAD_MAX];
};

unsigned xf_pack_codecs(void)
{
    return XF_CODEC_BIT(XF_CODEC_LZ4) | XF_CODEC_BIT(XF_CODEC_ZSTD);
}

const char *xf_codec_name(enum xf_codec c)
{
    static const char *const names[XF_CODECS] = {NULL, "lz4", "zstd"};

    return (unsigned)c < XF_CODECS ? names[c] : NULL;
}

int xf_packer_new(struct xf_packer **out, struct xf_err *err)
{
    struct xf_packer *p = malloc(sizeof(*p));

    if (!p)
        return xf_fail(err, ENOMEM, "out of memory for compressing");
    /* Its large buffer is first touched when a batch is compressed, which most moves over a fast
     * link never do. */
    p->lz4 = malloc((size_t)LZ4_sizeofState());
    p->zstd = ZSTD_createCCtx();
    if (!p->lz4 || !p->zstd ||
        ZSTD_isError(ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL))) {
        xf_packer_free(p);
        return xf_fail(err, ENOMEM, "out of memory for compressing");
    }
    *out = p;
    return 0;
}

void xf_packer_free(struct xf_packer *p)
{
    if (!p)
        return;
    free(p->lz4);
    ZSTD_freeCCtx(p->zstd);
    free(p);
}

/* Returns the compressed length of `raw` bytes, 0 if not less than cap. */
static uint32_t pack_block(struct xf_packer *p, enum xf_codec codec, const uint8_t *from,
                           uint32_t raw, uint8_t *to, uint32_t cap)
{
    size_t n;

    if (codec == XF_CODEC_LZ4)
        return (uint32_t)LZ4_compress_fast_extState(p->lz4, (const char *)from, (char *)to,
                                                    (int)raw, (int)cap, 1);
    n = ZSTD_compress2(p->zstd, to, cap, from, raw);
    return ZSTD_isError(n) ? 0 : (uint32_t)n;
}

/* A position in an iovec. */
struct place {
    const struct iovec *iov;
    size_t at;
};

static void copy_out(struct place *w, uint8_t *to, size_t len)
{
    while (len) {
        size_t n = w->iov->iov_len - w->at;

        if (n > len)
            n = len;
        memcpy(to, (uint8_t *)w->iov->iov_base + w->at, n);
        to += n;
        len -= n;
        w->at += n;
        if (w->at == w->iov->iov_len) {
            w->iov++;
            w->at = 0;
        }
    }
}

bool xf_pack(struct xf_packer *p, enum xf_codec codec, const struct iovec *iov, int niov,
             bool still, uint32_t data_pages, struct xf_pack *k, uint8_t **out, uint32_t *len)
{
    struct place w = {.iov = iov};
    uint8_t *to = p->out;

    assert(niov > 0 && data_pages && data_pages <= XF_BATCH_PAGES);
    still = still && niov == 1;
    k->codec = codec;
    k->nr_blocks = xf_pack_blocks(data_pages);
    for (uint32_t i = 0; i < k->nr_blocks; i++) {
        uint32_t raw = xf_pack_raw(data_pages, i);
        const uint8_t *from = p->block;

        if (still)
            from = (uint8_t *)iov->iov_base + (size_t)i * XF_PACK_BYTES;
        else
            copy_out(&w, p->block, raw);
        k->len[i] = pack_block(p, codec, from, raw, to, raw - raw / GAIN_PART);
        if (!k->len[i]) {
            memcpy(to, from, raw);
            k->len[i] = raw;
        }
        to += k->len[i];
    }
    *out = p->out;
    *len = (uint32_t)(to - p->out);
    return *len <= data_pages * (XF_PAGE_SIZE - XF_PAGE_SIZE / GAIN_PART);
}

void xf_pack_sample(struct xf_packer *p, const struct iovec *iov, int niov, uint64_t *bytes,
                    uint64_t *packed)
{
    assert(niov > 0);
    *bytes = *packed = 0;
    for (unsigned i = 1; i <= SAMPLE_PLACES; i++) {
        const struct iovec *v = &iov[(unsigned)niov * i / (SAMPLE_PLACES + 1)];
        size_t pages = v->iov_len / XF_PAGE_SIZE;
        size_t n = pages < SAMPLE_PAGES ? pages : SAMPLE_PAGES;
        /* With few long pieces, two places may lie in the same one. */
        size_t at = (pages - n) * i / (SAMPLE_PLACES + 1) * XF_PAGE_SIZE;
        uint32_t raw = (uint32_t)(n * XF_PAGE_SIZE), got;

        memcpy(p->block, (uint8_t *)v->iov_base + at, raw);
        got = pack_block(p, XF_CODEC_LZ4, p->block, raw, p->sample, raw - raw / GAIN_PART);
        *bytes += raw;
        *packed += got ? got : raw;
    }
}

struct xf_unpacker {
    ZSTD_DCtx *zstd;
    uint8_t buffer[XF_PACK_BYTES];
};

int xf_unpacker_new(struct xf_unpacker **out, struct xf_err *err)
{
    struct xf_unpacker *u = malloc(sizeof(*u));

    if (u)
        u->zstd = ZSTD_createDCtx();
    if (!u || !u->zstd) {
        free(u);
        return xf_fail(err, ENOMEM, "out of memory for decompressing");
    }
    *out = u;
    return 0;
}

void xf_unpacker_free(struct xf_unpacker *u)
{
    if (!u)
        return;
    ZSTD_freeDCtx(u->zstd);
    free(u);
}

uint8_t *xf_unpack_buffer(struct xf_unpacker *u)
{
    return u->buffer;
}

/* Accepts one frame of today's format only: the library would also take skippable frames and those
 * of formats before 1.0, whose decoders nobody maintains any more. */
static bool unpack_zstd(struct xf_unpacker *u, const uint8_t *from, uint32_t len, uint8_t *to,
                        uint32_t raw)
{
    if (len < 4 || get_le32(from) != ZSTD_MAGICNUMBER ||
        ZSTD_findFrameCompressedSize(from, len) != len)
        return false;
    return ZSTD_decompressDCtx(u->zstd, to, raw, from, len) == raw;
}

int xf_unpack(struct xf_unpacker *u, uint32_t codec, const uint8_t *from, uint32_t len, uint8_t *to,
              uint32_t raw, struct xf_err *err)
{
    bool good = codec == XF_CODEC_LZ4 ? LZ4_decompress_safe((const char *)from, (char *)to,
                                                            (int)len, (int)raw) == (int)raw
                                      : unpack_zstd(u, from, len, to, raw);

    if (!good)
        return xf_fail(err, EBADMSG, "pages arrived that cannot be decompressed");
    return 0;
}
