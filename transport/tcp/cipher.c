/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which of the two ciphers on offer is faster on this machine. Measured and not read
 * from CPU flags: emulation, old CPUs and crippled builds of the library all show.
 */
#include "transport/tcp/tcp.h"

#include <gnutls/crypto.h>
#include <time.h>

#define SLICE_NS 400000 /* for each cipher */
#define BLOCK 4096

static int64_t cpu_ns(void)
{
    struct timespec ts;

    /* CPU time of the thread: a busy machine must not decide */
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

/* Bytes per microsecond, 0 if the cipher is not available. */
static double speed(gnutls_cipher_algorithm_t alg)
{
    uint8_t key[32] = {0}, nonce[12] = {0}, in[BLOCK] = {0}, out[BLOCK + 16];
    gnutls_datum_t k = {key, (unsigned)gnutls_cipher_get_key_size(alg)};
    gnutls_aead_cipher_hd_t h;
    int64_t begin = 0, now = 0;
    double bytes = -BLOCK; /* the first block only warms up */

    if (k.size == 0 || k.size > sizeof(key) || gnutls_aead_cipher_init(&h, alg, &k))
        return 0;
    do {
        size_t len = sizeof(out);

        if (gnutls_aead_cipher_encrypt(h, nonce, sizeof(nonce), NULL, 0, 16, in, sizeof(in), out,
                                       &len)) {
            bytes = 0;
            break;
        }
        now = cpu_ns();
        if (bytes < 0)
            begin = now;
        bytes += BLOCK;
    } while (bytes <= 0 || now - begin < SLICE_NS);
    gnutls_aead_cipher_deinit(h);
    return now > begin ? bytes * 1000 / (double)(now - begin) : 0;
}

bool xf_tcp_prefer_chacha(void)
{
    return speed(GNUTLS_CIPHER_CHACHA20_POLY1305) > speed(GNUTLS_CIPHER_AES_128_GCM);
}
