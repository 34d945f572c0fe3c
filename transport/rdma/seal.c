/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sealing: every fragment is AES-256-GCM, its nonce the number of fragments before it. Plain text
 * is encrypted on its way into the send ring. A received fragment is first copied to where it
 * belongs and decrypted there: the ring is memory that others may write to, and bytes authenticated
 * there could change a moment later.
 */
#include "transport/rdma/rdma.h"

#include <errno.h>
#include <string.h>

#include "transport/bytes.h"

#define GCM_NONCE 12

int xf_rdma_seal_open(struct xf_rdma_seal *s, const uint8_t key[32], struct xf_err *err)
{
    gnutls_datum_t k = {(uint8_t *)key, 32};
    int rc = gnutls_aead_cipher_init(&s->cipher, GNUTLS_CIPHER_AES_256_GCM, &k);

    if (rc) {
        s->cipher = NULL;
        return xf_fail(err, ENOTSUP, "AES-256-GCM: %s", gnutls_strerror(rc));
    }
    return 0;
}

void xf_rdma_seal_close(struct xf_rdma_seal *s)
{
    if (s->cipher)
        gnutls_aead_cipher_deinit(s->cipher);
    s->cipher = NULL;
}

static int next_nonce(struct xf_rdma_seal *s, uint8_t nonce[GCM_NONCE], const char *who,
                      struct xf_err *err)
{
    if (s->count == UINT64_MAX)
        return xf_fail_link(err, EOVERFLOW, "%s: all nonces of this key are used up", who);
    memset(nonce, 0, GCM_NONCE);
    put_le64(nonce + 4, s->count++);
    return 0;
}

/* Append the next n bytes of the iterator to the entries in win; steps over them. */
static int window(struct xf_chan *c, int nr, struct xf_iter *it, size_t n)
{
    while (n) {
        uint8_t *at;
        size_t len = xf_iter_piece(it, n, &at);

        c->win[nr++] = (struct iovec){at, len};
        xf_iter_skip(it, len);
        n -= len;
    }
    return nr;
}

int xf_rdma_seal_gather(struct xf_chan *c, struct xf_iter *head, struct xf_iter *body, size_t n,
                        uint8_t *out, struct xf_err *err)
{
    size_t first = n < head->left ? n : head->left, len = n + XF_TAG_BYTES;
    uint8_t nonce[GCM_NONCE];
    int nr, rc;

    if (next_nonce(&c->seal, nonce, c->who, err))
        return -1;
    nr = window(c, window(c, 0, head, first), body, n - first);
    /* reads each byte once: a page that changes meanwhile gives a mix of old and new, and a good
     * tag */
    rc = gnutls_aead_cipher_encryptv(c->seal.cipher, nonce, sizeof(nonce), NULL, 0, XF_TAG_BYTES,
                                     c->win, nr, out, &len);
    if (rc || len != n + XF_TAG_BYTES)
        return xf_fail_link(err, EIO, "%s: sealing: %s", c->who, gnutls_strerror(rc));
    return 0;
}

int xf_rdma_seal_scatter(struct xf_chan *c, const uint8_t *in, size_t n, struct xf_iter *to,
                         struct xf_err *err)
{
    uint8_t nonce[GCM_NONCE], tag[XF_TAG_BYTES];
    struct xf_iter copy = *to;
    int rc, nr;

    if (next_nonce(&c->unseal, nonce, c->who, err))
        return -1;
    n -= XF_TAG_BYTES;
    memcpy(tag, in + n, sizeof(tag));
    nr = window(c, 0, to, n);
    xf_iter_scatter(&copy, in, n);
    rc = gnutls_aead_cipher_decryptv2(c->unseal.cipher, nonce, sizeof(nonce), NULL, 0, c->win, nr,
                                      tag, sizeof(tag));
    if (rc)
        return xf_fail(err, EPROTO, "%s: a sealed fragment was changed on its way", c->who);
    return 0;
}
