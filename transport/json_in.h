/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading JSON written by a peer, another process or another version. Every field is requested by
 * name and checked: type, length, range. Unknown fields are ignored, so that a later version can
 * add some.
 *
 * Errors are EPROTO and name the text and the field: "the peer's message lacks a good field
 * \"port\"". Strings come in three kinds, as transport/text.h has it: a word, which is refused
 * unless it is clean; a sentence for people, which is cleaned; and bytes, which are never shown.
 *
 * Any thread; no state but the struct.
 */
#ifndef XF_JSON_IN_H
#define XF_JSON_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "transport/err.h"

struct xf_json {
    json_object *o;
    const char *what; /* begins an error: "the peer's message" */
    struct xf_err *err;
};

/* Parse len bytes of text as one object, nested at most `depth` deep, with nothing after it; to be
 * closed by xf_json_close(). `what` and err, which may be NULL, must live as long as j. ENOMEM,
 * EPROTO. */
int xf_json_open(struct xf_json *j, const char *text, size_t len, int depth, const char *what,
                 struct xf_err *err);
/* Also after a failed xf_json_open(). */
void xf_json_close(struct xf_json *j);

/* Does this field exist, of any type? */
bool xf_json_has(const struct xf_json *j, const char *name);

/* A string of less than size bytes, owned by j; its length in *len. NULL: an error. It may hold any
 * bytes, including NULs. */
const char *xf_json_string(const struct xf_json *j, const char *name, size_t size, size_t *len);
/* The same copied to out[size], with a NUL added. word: must be clean; sentence: is cleaned; bytes:
 * must not contain a NUL. */
int xf_json_word(const struct xf_json *j, const char *name, char *out, size_t size);
int xf_json_sentence(const struct xf_json *j, const char *name, char *out, size_t size);
int xf_json_bytes(const struct xf_json *j, const char *name, char *out, size_t size);

/* An integer, min..max. */
int xf_json_number(const struct xf_json *j, const char *name, int64_t min, int64_t max,
                   int64_t *out);
int xf_json_bool(const struct xf_json *j, const char *name, bool *out);
/* An integer from 0 up, or `unknown` for null. */
int xf_json_count(const struct xf_json *j, const char *name, uint64_t unknown, uint64_t *out);
/* A number, 0..max, or -1 for null. */
int xf_json_real(const struct xf_json *j, const char *name, double max, double *out);

/* An object within this one; nothing to close. */
int xf_json_object(const struct xf_json *j, const char *name, struct xf_json *out);
/* An array of at most max elements, owned by j, and their number; NULL: an error. */
json_object *xf_json_array(const struct xf_json *j, const char *name, size_t max, size_t *n);
/* Element i of such an array, as an object; as a word. */
int xf_json_item(const struct xf_json *j, const char *name, json_object *array, size_t i,
                 struct xf_json *out);
int xf_json_item_word(const struct xf_json *j, const char *name, json_object *array, size_t i,
                      char *out, size_t size);

/* The error for a field whose content is wrong: "WHAT has a field \"NAME\" that HOW". Returns -1.
 */
int xf_json_bad(const struct xf_json *j, const char *name, const char *how);

#endif
