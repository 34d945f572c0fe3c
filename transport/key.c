/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one-time key of a move: see key.h. */
#include "transport/key.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

int xf_key_make(struct xf_key *k, struct xf_err *err)
{
    size_t have = 0;

    while (have < sizeof(k->bytes)) {
        ssize_t n = getrandom(k->bytes + have, sizeof(k->bytes) - have, 0);

        if (n < 0 && errno != EINTR) {
            xf_key_wipe(k);
            return xf_fail(err, errno, "cannot get random numbers: %s", strerror(errno));
        }
        have += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

void xf_key_wipe(struct xf_key *k)
{
    explicit_bzero(k, sizeof(*k));
}
