/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Strings that must not get onto a terminal, and a check that shares no code with transport/text.c:
 * it accepts what these tests use, and refuses everything else.
 */
#ifndef XF_TEST_HOSTILE_H
#define XF_TEST_HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct hostile {
    const char *text; /* "A", the hostile part, "B" */
    const char *json; /* the part as it may be written in JSON, NULL: as it is */
    const char *clean;
};

static const struct hostile hostiles[] = {
    {"A\x1b[31mB", "A\\u001b[31mB", "A?[31mB"},
    {"A\rB", "A\\rB", "A B"},
    {"A\nB", "A\\nB", "A B"},
    {"A\aB", "A\\u0007B", "A?B"},
    {"A\bB", "A\\u0008B", "A?B"},
    {"A\x7f"
     "B",
     "A\\u007fB", "A?B"},
    {"A\xc2\x9b"
     "31mB",
     "A\\u009b31mB", "A?31mB"}, /* C1: CSI as UTF-8 */
    {"A\xc2\x80"
     "B",
     "A\\u0080B", "A?B"},
    {"A\x9b"
     "31mB",
     NULL, "A?31mB"}, /* ... and as a byte of Latin 1 */
    {"A\xe2\x80\xae"
     "B",
     "A\\u202eB", "A?B"}, /* right-to-left override */
    {"A\xe2\x80\xaa"
     "B",
     "A\\u202aB", "A?B"},
    {"A\xe2\x81\xa6"
     "B",
     "A\\u2066B", "A?B"}, /* isolate */
    {"A\xe2\x81\xa9"
     "B",
     "A\\u2069B", "A?B"},
    {"A\xe2\x80\x8e"
     "B",
     "A\\u200eB", "A?B"}, /* marks */
    {"A\xe2\x80\x8f"
     "B",
     "A\\u200fB", "A?B"},
    {"A\xd8\x9c"
     "B",
     "A\\u061cB", "A?B"},
    {"A\xe2\x80\x8b"
     "B",
     "A\\u200bB", "A?B"}, /* zero width */
    {"A\xe2\x80\x8d"
     "B",
     "A\\u200dB", "A?B"},
    {"A\xef\xbb\xbf"
     "B",
     "A\\ufeffB", "A?B"},
    {"A\xe2\x80\xa8"
     "B",
     "A\\u2028B", "A B"}, /* line, paragraph */
    {"A\xe2\x80\xa9"
     "B",
     "A\\u2029B", "A B"},
    {"A\xf3\xa0\x81\x81"
     "B",
     "A\\udb40\\udc41B", "A?B"}, /* a tag */
    {"A\xc0\xaf"
     "B",
     NULL, "A??B"}, /* overlong */
    {"A\xe0\x80\x9b"
     "B",
     NULL, "A???B"},
    {"A\xed\xa0\x80"
     "B",
     NULL, "A???B"}, /* surrogate */
    {"A\xf4\x90\x80\x80"
     "B",
     NULL, "A????B"}, /* beyond */
    {"A\xff"
     "B",
     NULL, "A?B"},
    {"A\xe2\x82"
     "B",
     NULL, "A??B"}, /* torn */
};
#define HOSTILES (sizeof(hostiles) / sizeof(hostiles[0]))

/* Nothing but printable ASCII, and line ends if `lines`. */
static inline bool harmless(const char *text, bool lines)
{
    for (; *text; text++)
        if (((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e) &&
            !(lines && *text == '\n'))
            return false;
    return true;
}

#endif
