/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text that was written elsewhere: see text.h. */
#include "transport/text.h"

#include <stdint.h>
#include <string.h>

/* Beyond ASCII: invisible characters that affect the display (Unicode 15: controls, format
 * characters, line separators, tags). */
static const struct {
    uint32_t first, last;
} hidden[] = {
    {0x80, 0x9f},       /* C1 controls */
    {0xad, 0xad},       /* soft hyphen */
    {0x61c, 0x61c},     /* Arabic letter mark */
    {0x180e, 0x180e},   /* Mongolian vowel separator */
    {0x200b, 0x200f},   /* zero-width, and direction marks */
    {0x2028, 0x202e},   /* line separators; bidirectional embeddings and overrides */
    {0x2060, 0x206f},   /* invisible operators, bidirectional isolates */
    {0xfdd0, 0xfdef},   /* noncharacters */
    {0xfeff, 0xfeff},   /* zero-width no-break space */
    {0xfff9, 0xfffb},   /* interlinear annotation */
    {0xe0000, 0xe0fff}, /* tags, variation selectors */
};

/* Length of a character by its first byte; 0: no character begins with it. */
static size_t length_of(uint8_t lead)
{
    return lead < 0x80                    ? 1
           : lead >= 0xc2 && lead <= 0xdf ? 2
           : lead >= 0xe0 && lead <= 0xef ? 3
           : lead >= 0xf0 && lead <= 0xf4 ? 4
                                          : 0;
}

/*
 * The character at s: returns its length (0: no character begins so; less than length_of(): the
 * text ends within it) and sets its number (UINT32_MAX: not well-formed).
 */
static size_t decode(const char *s, size_t len, uint32_t *number)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *b = (const uint8_t *)s;
    size_t n = length_of(b[0]), have = 1;
    uint32_t c = n == 1 ? b[0] : b[0] & (0x7fu >> n);

    *number = UINT32_MAX;
    for (; have < n && have < len && (b[have] & 0xc0) == 0x80; have++)
        c = c << 6 | (b[have] & 0x3f);
    if (have < n) /* cut off by the end of the text, or (0) by another character */
        return have == len ? have : 0;
    if (n && c >= least[n] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff))
        *number = c;
    return n;
}

static bool is_hidden(uint32_t c)
{
    if (c < 0x20 || c == 0x7f || (c & 0xfffe) == 0xfffe)
        return true;
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
        if (c >= hidden[i].first && c <= hidden[i].last)
            return true;
    return false;
}

size_t xf_text_char(const char *s, size_t len)
{
    uint32_t c;
    size_t n = len ? decode(s, len, &c) : 0;

    return n && c != UINT32_MAX && !is_hidden(c) ? n : 0;
}

bool xf_text_is_clean(const char *s, size_t len)
{
    for (size_t i = 0, n; i < len; i += n)
        if (!(n = xf_text_char(s + i, len - i)))
            return false;
    return true;
}

/* Copy one character of `from` to out, which has room for it. *used: its bytes in `from`. */
static size_t put(char *out, const char *from, size_t len, size_t *used)
{
    uint32_t c;
    size_t n = decode(from, len, &c);

    *used = n && c != UINT32_MAX ? n : 1;
    if (n && c != UINT32_MAX && !is_hidden(c)) {
        memmove(out, from, n);
        return n;
    }
    if (n == len && n < length_of((uint8_t)*from)) { /* cut off by the end */
        *used = n;
        return 0;
    }
    *out = c == '\t' || c == '\n' || c == '\r' || c == 0x2028 || c == 0x2029 ? ' ' : '?';
    return 1;
}

size_t xf_text_copy(char *out, size_t size, const char *from, size_t len)
{
    size_t done = 0;

    for (size_t i = 0, used; i < len; i += used) {
        size_t room = xf_text_char(from + i, len - i);

        if (done + (room ? room : 1) >= size)
            break;
        done += put(out + done, from + i, len - i, &used);
    }
    out[done] = 0;
    return done;
}

void xf_text_clean(char *s)
{
    size_t len = strlen(s);

    /* Works in place: the write position never passes the read position. */
    xf_text_copy(s, len + 1, s, len);
}
