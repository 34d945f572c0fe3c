/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one-time key in JSON text: see secret.h. */
#include "libxl-ext/host/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS (2 * XF_KEY_BYTES)

static const char member[] = ",\"key\":\"";

char *xf_secret_format(const char *object, const struct xf_key *k)
{
    static const char digits[] = "0123456789abcdef";
    size_t len = strlen(object), at = len - 1;
    char *text = malloc(len + sizeof(member) + DIGITS + 2);

    if (!text)
        return NULL;
    memcpy(text, object, at); /* without its closing brace */
    memcpy(text + at, member, sizeof(member) - 1);
    at += sizeof(member) - 1;
    for (unsigned i = 0; i < XF_KEY_BYTES; i++) {
        text[at++] = digits[k->bytes[i] >> 4];
        text[at++] = digits[k->bytes[i] & 15];
    }
    memcpy(text + at, "\"}", 3);
    return text;
}

/* The end of the string that begins at `at` (its quotation mark): the position of the closing
 * quotation mark, or len if there is none. */
static size_t string_end(const char *text, size_t len, size_t at)
{
    for (at++; at < len && text[at] != '"'; at++)
        if (text[at] == '\\')
            at++;
    return at < len ? at : len;
}

static size_t skip_blanks(const char *text, size_t len, size_t at)
{
    while (at < len && memchr(" \t\r\n", text[at], 4))
        at++;
    return at;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The string between two quotation marks as a key. */
static void take(const char *from, size_t len, struct xf_key *k, struct xf_err *err)
{
    if (len != DIGITS)
        xf_fail(err, EPROTO, "the \"key\" has %zu digits instead of %u", len, DIGITS);
    for (size_t i = 0; i < len && len == DIGITS; i += 2) {
        int hi = digit(from[i]), lo = digit(from[i + 1]);

        if (hi < 0 || lo < 0)
            xf_fail(err, EPROTO, "the \"key\" is not hexadecimal");
        else
            k->bytes[i / 2] = (uint8_t)(hi << 4 | lo);
    }
}

/* If the string from `at` to `end` is the name of a member "key" with a string value: returns the
 * position of that value, and sets *end to its end. Else 0. */
static size_t value_of_key(const char *text, size_t len, size_t at, size_t *end)
{
    size_t value = skip_blanks(text, len, *end + 1);

    if (*end - at != 4 || memcmp(text + at, "\"key", 4) != 0 || value >= len || text[value] != ':')
        return 0;
    value = skip_blanks(text, len, value + 1);
    if (value >= len || text[value] != '"')
        return 0;
    *end = string_end(text, len, value);
    return value + 1;
}

char *xf_secret_take(const char *text, size_t len, struct xf_key *k, struct xf_err *err)
{
    char *copy = malloc(len + 1);
    unsigned depth = 0, found = 0;
    struct xf_err why = {0};

    memset(k, 0, sizeof(*k));
    if (!copy) {
        xf_fail(err, ENOMEM, "out of memory");
        return NULL;
    }
    memcpy(copy, text, len);
    copy[len] = 0;
    for (size_t at = 0; at < len; at++) {
        if (copy[at] == '{' || copy[at] == '[') {
            depth++;
        } else if (copy[at] == '}' || copy[at] == ']') {
            depth -= depth > 0;
        } else if (copy[at] == '"') {
            size_t end = string_end(copy, len, at), value = value_of_key(copy, len, at, &end);

            at = end;
            if (!value)
                continue;
            if (depth == 1) {
                take(copy + value, end - value, k, &why);
                found++;
            }
            memset(copy + value, '0', end - value);
        }
    }
    if (found != 1)
        xf_fail(&why, EPROTO, found ? "it has more than one \"key\"" : "it has no valid \"key\"");
    if (why.num) {
        xf_key_wipe(k);
        xf_fail(err, why.num, "%s", why.text);
    }
    return copy;
}

void xf_secret_free(char *text, size_t len)
{
    if (text)
        explicit_bzero(text, len);
    free(text);
}
