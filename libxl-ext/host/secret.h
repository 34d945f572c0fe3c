/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one-time key as a member "key" of a JSON object. json-c frees strings without wiping them,
 * so it never sees this one: it is written by hand behind what json-c has written, and taken out by
 * hand before json-c reads.
 *
 * Any thread; no state.
 */
#ifndef XF_SECRET_H
#define XF_SECRET_H

#include <stddef.h>

#include "transport/key.h"

/* The text of an object (json-c's, "{...}" with at least one member) with the key as its last
 * member: malloc()ed, for xf_secret_free(). NULL: no memory. */
char *xf_secret_format(const char *object, const struct xf_key *k);

/*
 * Take the key out of the text of an object. The member has to be one of the object itself, written
 * as xf_secret_format() does (64 hexadecimal digits in lower case), and there once; else EPROTO in
 * err, and the key is zeros. Nothing else of the text is judged. Returns a copy (malloc()ed, of len
 * bytes and a NUL) with zeros for the digits of every "key" there, for the caller to parse, also
 * with an error; or NULL with ENOMEM. `text` is left as it is.
 */
char *xf_secret_take(const char *text, size_t len, struct xf_key *k, struct xf_err *err);

/* Wipe and free a text. NULL is allowed. */
void xf_secret_free(char *text, size_t len);

#endif
