/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading JSON written elsewhere: see json_in.h. */
#include "transport/json_in.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "transport/text.h"

static int parse(struct xf_json *j, const char *text, size_t len, int depth, int flags)
{
    json_tokener *t = json_tokener_new_ex(depth);
    int rc = -1;

    if (!t)
        return xf_fail(j->err, ENOMEM, "out of memory");
    json_tokener_set_flags(t, flags);
    j->o = json_tokener_parse_ex(t, text, (int)len);
    if (json_tokener_get_error(t) != json_tokener_success)
        xf_fail(j->err, EPROTO, "%s is not JSON: %s", j->what,
                json_tokener_error_desc(json_tokener_get_error(t)));
    else if (!json_object_is_type(j->o, json_type_object) || json_tokener_get_parse_end(t) != len)
        xf_fail(j->err, EPROTO, "%s is not one JSON object", j->what);
    else
        rc = 0;
    json_tokener_free(t);
    if (rc)
        xf_json_close(j);
    return rc;
}

static bool is_ascii(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] & 0x80)
            return false;
    return true;
}

/*
 * json-c 0.18 (Debian 13), when it is strict, takes every byte above 0x7f for a control character
 * (its issue 875). So the grammar is judged with an 'x' in the place of each, which JSON allows
 * nowhere but in strings, and the contents are then read without strictness.
 */
static int parse_twice(struct xf_json *j, const char *text, size_t len, int depth)
{
    char *ascii = malloc(len);
    int rc;

    if (!ascii)
        return xf_fail(j->err, ENOMEM, "out of memory");
    for (size_t i = 0; i < len; i++)
        ascii[i] = (char)(text[i] & 0x80 ? 'x' : text[i]);
    rc = parse(j, ascii, len, depth, JSON_TOKENER_STRICT);
    free(ascii);
    if (rc)
        return rc;
    xf_json_close(j);
    return parse(j, text, len, depth, 0);
}

int xf_json_open(struct xf_json *j, const char *text, size_t len, int depth, const char *what,
                 struct xf_err *err)
{
    *j = (struct xf_json){.what = what, .err = err};
    if (len > INT_MAX)
        return xf_fail(err, EPROTO, "%s is not JSON: too long", what);
    return is_ascii(text, len) ? parse(j, text, len, depth, JSON_TOKENER_STRICT)
                               : parse_twice(j, text, len, depth);
}

void xf_json_close(struct xf_json *j)
{
    json_object_put(j->o);
    j->o = NULL;
}

bool xf_json_has(const struct xf_json *j, const char *name)
{
    return json_object_object_get_ex(j->o, name, NULL);
}

int xf_json_bad(const struct xf_json *j, const char *name, const char *how)
{
    return xf_fail(j->err, EPROTO, "%s has a field \"%s\" that %s", j->what, name, how);
}

static int lacks(const struct xf_json *j, const char *name)
{
    return xf_fail(j->err, EPROTO, "%s has no valid field \"%s\"", j->what, name);
}

/* NULL: an error. */
static json_object *field(const struct xf_json *j, const char *name, enum json_type type)
{
    json_object *v = NULL;

    if (json_object_object_get_ex(j->o, name, &v) && json_object_is_type(v, type))
        return v;
    lacks(j, name);
    return NULL;
}

static const char *string_of(const struct xf_json *j, const char *name, json_object *v, size_t size,
                             size_t *len)
{
    *len = (size_t)json_object_get_string_len(v);
    if (*len < size)
        return json_object_get_string(v);
    xf_json_bad(j, name, "is too long");
    return NULL;
}

static int word_of(const struct xf_json *j, const char *name, json_object *v, char *out,
                   size_t size)
{
    size_t len;
    const char *text = string_of(j, name, v, size, &len);

    if (!text)
        return -1;
    if (!xf_text_is_clean(text, len))
        return xf_json_bad(j, name, "has control characters or others that cannot be shown");
    memcpy(out, text, len);
    out[len] = 0;
    return 0;
}

const char *xf_json_string(const struct xf_json *j, const char *name, size_t size, size_t *len)
{
    json_object *v = field(j, name, json_type_string);

    return v ? string_of(j, name, v, size, len) : NULL;
}

int xf_json_word(const struct xf_json *j, const char *name, char *out, size_t size)
{
    json_object *v = field(j, name, json_type_string);

    return v ? word_of(j, name, v, out, size) : -1;
}

int xf_json_sentence(const struct xf_json *j, const char *name, char *out, size_t size)
{
    size_t len;
    const char *text = xf_json_string(j, name, size, &len);

    if (!text)
        return -1;
    xf_text_copy(out, size, text, len);
    return 0;
}

int xf_json_bytes(const struct xf_json *j, const char *name, char *out, size_t size)
{
    size_t len;
    const char *text = xf_json_string(j, name, size, &len);

    if (!text)
        return -1;
    if (memchr(text, 0, len))
        return xf_json_bad(j, name, "has a NUL");
    memcpy(out, text, len);
    out[len] = 0;
    return 0;
}

int xf_json_number(const struct xf_json *j, const char *name, int64_t min, int64_t max,
                   int64_t *out)
{
    json_object *v = field(j, name, json_type_int);

    *out = v ? json_object_get_int64(v) : 0;
    if (!v)
        return -1;
    return *out < min || *out > max ? xf_json_bad(j, name, "is out of range") : 0;
}

int xf_json_bool(const struct xf_json *j, const char *name, bool *out)
{
    json_object *v = field(j, name, json_type_boolean);

    *out = v && json_object_get_boolean(v);
    return v ? 0 : -1;
}

int xf_json_count(const struct xf_json *j, const char *name, uint64_t unknown, uint64_t *out)
{
    json_object *v = NULL;

    *out = unknown;
    if (!json_object_object_get_ex(j->o, name, &v))
        return lacks(j, name);
    if (!v)
        return 0;
    if (!json_object_is_type(v, json_type_int))
        return lacks(j, name);
    if (json_object_get_int64(v) < 0)
        return xf_json_bad(j, name, "is out of range");
    *out = json_object_get_uint64(v);
    return 0;
}

int xf_json_real(const struct xf_json *j, const char *name, double max, double *out)
{
    json_object *v = NULL;

    *out = -1;
    if (!json_object_object_get_ex(j->o, name, &v))
        return lacks(j, name);
    if (!v)
        return 0;
    if (!json_object_is_type(v, json_type_double) && !json_object_is_type(v, json_type_int))
        return lacks(j, name);
    *out = json_object_get_double(v);
    return isfinite(*out) && *out >= 0 && *out <= max ? 0 : xf_json_bad(j, name, "is out of range");
}

int xf_json_object(const struct xf_json *j, const char *name, struct xf_json *out)
{
    *out = *j;
    out->o = field(j, name, json_type_object);
    return out->o ? 0 : -1;
}

json_object *xf_json_array(const struct xf_json *j, const char *name, size_t max, size_t *n)
{
    json_object *v = field(j, name, json_type_array);

    *n = v ? json_object_array_length(v) : 0;
    if (*n <= max)
        return v;
    xf_json_bad(j, name, "has too many entries");
    return NULL;
}

int xf_json_item(const struct xf_json *j, const char *name, json_object *array, size_t i,
                 struct xf_json *out)
{
    *out = *j;
    out->o = json_object_array_get_idx(array, i);
    return json_object_is_type(out->o, json_type_object)
               ? 0
               : xf_json_bad(j, name, "has an invalid entry");
}

int xf_json_item_word(const struct xf_json *j, const char *name, json_object *array, size_t i,
                      char *out, size_t size)
{
    json_object *v = json_object_array_get_idx(array, i);

    if (!json_object_is_type(v, json_type_string))
        return xf_json_bad(j, name, "has an invalid entry");
    return word_of(j, name, v, out, size);
}
