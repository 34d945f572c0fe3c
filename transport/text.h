/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text that was written elsewhere: by a peer, a guest's owner, another process, a file, the
 * distribution's xl. A terminal obeys some of it, and shows other parts in an order in which
 * nobody wrote them.
 *
 * The rule of the whole tree: a sentence is cleaned (xf_text_clean) once, where it enters a struct
 * of ours: an error, a finding, a note, a report, a status. A word that is also compared or
 * executed (a name, a uuid, a host) is never changed: if it comes from a peer or from another
 * process it is refused unless it is clean (xf_text_is_clean), else it is cleaned in the copy that
 * is shown. So whoever prints need not look at what he prints.
 *
 * What is not clean: control characters (C0, DEL, C1); bytes that are no UTF-8 (overlong forms,
 * surrogates, beyond U+10FFFF included); and what is not seen but changes what is: bidirectional
 * controls, zero-width characters, line and paragraph separators, tags, noncharacters.
 *
 * Any thread; no state.
 */
#ifndef XF_TEXT_H
#define XF_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the clean character at s, of which `len` bytes may be read; 0: there is none. */
size_t xf_text_char(const char *s, size_t len);

bool xf_text_is_clean(const char *s, size_t len);

/*
 * Clean a string in place; it never grows. A blank takes the place of tab, line feed, carriage
 * return and the two separators, a '?' that of anything else. A character of which the end is
 * missing at the end of the string, as when it was cut to fit, goes without a trace.
 */
void xf_text_clean(char *s);

/* The same for the first `len` bytes at `from`, which need not end with a NUL and may hold some;
 * cut to fit into `out` of `size` bytes (at least 1). Returns the length of what `out` has. */
size_t xf_text_copy(char *out, size_t size, const char *from, size_t len);

#endif
