/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Formatting quantities for people, and wrapping a sentence to a terminal's width.
 */
#ifndef XF_FORMAT_H
#define XF_FORMAT_H

#include <stdint.h>
#include <stdio.h>

#define FMT_LEN 32

/* Each writes into `buf` of FMT_LEN bytes and returns it. */
char *fmt_bytes(char *buf, double bytes);      /* "812 MiB", "1.2 GiB" */
char *fmt_count(char *buf, double n);          /* "950", "3.1k", "12M" */
char *fmt_duration(char *buf, double seconds); /* "84 ms", "12.3 s", "3 min 20 s" */

/* Print `text` and a newline in lines of at most `width` columns, where words allow it.
 * The first line begins at `column`, the others are indented. */
void print_wrapped(FILE *out, const char *text, unsigned width, unsigned column, unsigned indent);

#endif
