/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target for the compressed blocks of a batch. The first byte chooses the method and
 * the number of pages; the rest is one block as it came from the peer, in a buffer that ends
 * where it does. Beyond "no crash": no byte is written behind the pages, and what is taken
 * for the same block twice is the same.
 */
#include "pages/pack.c"
#include "transport/err.c"

#include "tests/fuzz/target.h"

enum { BY_LZ4, BY_ZSTD };

#define AROUND 4096u

static struct {
    struct xf_unpacker *unpacker;
    uint8_t to[XF_PACK_BYTES + AROUND], again[XF_PACK_BYTES];
} fuzz; /* big, and a fuzzer has one thread */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct xf_err err = {0};
    uint32_t codec, raw;
    uint8_t *block;
    int rc;

    if (size < 2 || size - 1 >= XF_PACK_BYTES)
        return 0;
    if (!fuzz.unpacker)
        MUST(xf_unpacker_new(&fuzz.unpacker, &err) == 0);
    codec = data[0] & 1 ? XF_CODEC_ZSTD : XF_CODEC_LZ4;
    raw = (data[0] >> 1 & 63u) * XF_PAGE_SIZE + XF_PAGE_SIZE;
    block = malloc(size - 1);
    MUST(block);
    memcpy(block, data + 1, size - 1);
    memset(fuzz.to + raw, 0xa5, AROUND);
    rc = xf_unpack(fuzz.unpacker, codec, block, (uint32_t)(size - 1), fuzz.to, raw, &err);
    for (unsigned i = 0; i < AROUND; i++)
        MUST(fuzz.to[raw + i] == 0xa5);
    if (rc)
        MUST(rc == -1 && err.num == EBADMSG && err.text[0]);
    else
        MUST(!xf_unpack(fuzz.unpacker, codec, block, (uint32_t)(size - 1), fuzz.again, raw, &err) &&
             !memcmp(fuzz.to, fuzz.again, raw));
    if (!rc)
        fuzz_reached(codec == XF_CODEC_ZSTD ? BY_ZSTD : BY_LZ4);
    free(block);
    return 0;
}

/* A page of text and one of numbers, by each method; as they are, too. */
static size_t fuzz_seed(int n, uint8_t out[FUZZ_INPUT_MAX])
{
    static uint8_t pages[2 * XF_PAGE_SIZE];
    size_t len;

    for (size_t i = 0; i < sizeof(pages); i++)
        pages[i] = (uint8_t)(i < XF_PAGE_SIZE ? "a page of text "[i % 15] : i * i >> 7);
    out[0] = (uint8_t)(1 << 1 | (n & 1));
    switch (n) {
    case 0:
        len = (size_t)LZ4_compress_default((char *)pages, (char *)out + 1, sizeof(pages),
                                           FUZZ_INPUT_MAX - 1);
        break;
    case 1:
        len = ZSTD_compress(out + 1, FUZZ_INPUT_MAX - 1, pages, sizeof(pages), 3);
        break;
    case 2:
    case 3:
        len = sizeof(pages);
        memcpy(out + 1, pages, len);
        break;
    default:
        return 0;
    }
    return 1 + len;
}

FUZZ_TARGET(fuzz_seed, "LZ4 is taken", "zstd is taken")
