/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text that was written elsewhere: by a peer, a guest's owner, another process, a file, the
 * distribution's xl. A terminal obeys parts of such text, and displays others in a changed order.
 *
 * The rule of the whole tree: a sentence is cleaned (xf_text_clean) once, where it enters a struct
 * of ours: an error, a finding, a note, a report, a status. A word that is also compared or
 * executed (a name, a uuid, a host) is never changed: if it comes from a peer or from another
 * process it is refused unless it is clean (xf_text_is_clean); otherwise the copy that is shown is
 * cleaned. So code that prints need not check its text.
 *
 * Not clean are control characters (C0, DEL, C1); invalid UTF-8 (including overlong forms,
 * surrogates, beyond U+10FFFF); and invisible characters that affect the display: bidirectional
 * controls, zero-width characters, line and paragraph separators, tags, noncharacters.
 *
 * Any thread; no state.
 */
#ifndef XF_TEXT_H
#define XF_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Length in bytes of the clean character at s, of which `len` bytes may be read; 0: no clean
 * character. */
size_t xf_text_char(const char *s, size_t len);

bool xf_text_is_clean(const char *s, size_t len);

/*
 * Clean a string in place; it never grows. Tab, line feed, carriage return and the two separators
 * become a blank, any other unclean character a '?'. A character cut off at the end of the string
 * is dropped.
 */
void xf_text_clean(char *s);

/* The same for the first `len` bytes at `from`, which may contain NULs and need not end with one;
 * cut to fit into `out` of `size` bytes (at least 1). Returns the length of the string in `out`. */
size_t xf_text_copy(char *out, size_t size, const char *from, size_t len);

#endif
