/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keys and proofs. All are derived from the one-time key and both nonces, by HKDF with SHA-256: a
 * proof key for each role, so that neither proof can be sent back to its author, and a sealing key
 * for each direction, so that no key meets a nonce twice.
 */
#include "transport/rdma/rdma.h"

#include <errno.h>
#include <string.h>

int xf_rdma_nonce(uint8_t out[XF_NONCE_BYTES], struct xf_err *err)
{
    int rc = gnutls_rnd(GNUTLS_RND_NONCE, out, XF_NONCE_BYTES);

    return rc ? xf_fail(err, EIO, "cannot get random numbers: %s", gnutls_strerror(rc)) : 0;
}

static int expand(uint8_t out[32], const uint8_t prk[32], const char *label)
{
    gnutls_datum_t key = {(uint8_t *)prk, 32};
    gnutls_datum_t info = {(uint8_t *)label, (unsigned)strlen(label)};

    return gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &key, &info, out, 32);
}

int xf_rdma_keys(struct xf_rdma_keys *out, const uint8_t key[XF_KEY_BYTES],
                 const uint8_t source[XF_NONCE_BYTES], const uint8_t sink[XF_NONCE_BYTES],
                 struct xf_err *err)
{
    uint8_t prk[32], nonces[2 * XF_NONCE_BYTES];
    gnutls_datum_t ikm = {(uint8_t *)key, XF_KEY_BYTES}, salt = {nonces, sizeof(nonces)};
    int rc;

    memcpy(nonces, source, XF_NONCE_BYTES);
    memcpy(nonces + XF_NONCE_BYTES, sink, XF_NONCE_BYTES);
    rc = gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &ikm, &salt, prk);
    if (!rc)
        rc = expand(out->proof_source, prk, "xenferry rdma proof source");
    if (!rc)
        rc = expand(out->proof_sink, prk, "xenferry rdma proof sink");
    if (!rc)
        rc = expand(out->seal_source, prk, "xenferry rdma seal source");
    if (!rc)
        rc = expand(out->seal_sink, prk, "xenferry rdma seal sink");
    gnutls_memset(prk, 0, sizeof(prk));
    return rc ? xf_fail(err, EIO, "deriving keys: %s", gnutls_strerror(rc)) : 0;
}

int xf_rdma_mac(uint8_t out[XF_MAC_BYTES], const uint8_t key[32], const void *data, size_t len,
                struct xf_err *err)
{
    int rc = gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, 32, data, len, out);

    return rc ? xf_fail(err, EIO, "HMAC: %s", gnutls_strerror(rc)) : 0;
}

bool xf_rdma_mac_equal(const uint8_t a[XF_MAC_BYTES], const uint8_t b[XF_MAC_BYTES])
{
    return gnutls_memcmp(a, b, XF_MAC_BYTES) == 0;
}
