/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one-time key of a move. Each side has one owner, which wipes it at the end: the hello
 * (libxl-ext/peer/bootstrap.h) while the move lasts, a record (libxl-ext/moves/record.h) while one
 * is written or read. All others point to it. It travels as text, which is wiped as well
 * (libxl-ext/host/secret.h).
 *
 * Any thread; no state.
 */
#ifndef XF_KEY_H
#define XF_KEY_H

#include <stdint.h>

#include "transport/err.h"

#define XF_KEY_BYTES 32 /* D10 */

struct xf_key {
    uint8_t bytes[XF_KEY_BYTES];
};

/* Make a new key of random bytes. */
int xf_key_make(struct xf_key *k, struct xf_err *err);
/* For the owner, once the key is not needed any more. */
void xf_key_wipe(struct xf_key *k);

#endif
