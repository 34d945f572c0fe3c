/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one-time key as a member "key" of a JSON object. json-c frees strings without wiping them, so
 * it never sees the key: the key is appended by hand to json-c's output, and removed by hand before
 * json-c parses.
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
 * Take the key out of the text of an object. The member must belong to the object itself, be
 * written as by xf_secret_format() (64 lower-case hexadecimal digits), and occur once; else EPROTO
 * in err, and the key is zeros. Nothing else in the text is checked. Returns a copy (malloc()ed, of
 * len bytes and a NUL), also after EPROTO, for the caller to parse, in which the digits of every
 * "key", at any depth, are zeros; or NULL with ENOMEM. `text` is left unchanged.
 */
char *xf_secret_take(const char *text, size_t len, struct xf_key *k, struct xf_err *err);

/* Wipe and free a text. NULL is allowed. */
void xf_secret_free(char *text, size_t len);

#endif
