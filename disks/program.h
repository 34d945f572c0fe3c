/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A short run of another program (LVM's tools), and what it printed. Any thread; no state. */
#ifndef XF_PROGRAM_H
#define XF_PROGRAM_H

#include "transport/err.h"

#define XF_PROGRAM_OUT 1024u

/* Where programs are looked for, whatever PATH a login over ssh has set. */
#define XF_PROGRAM_PATH "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"

/*
 * Run argv (NULL at its end) with nothing to read, no terminal and LC_ALL=C. out: the beginning of
 * its standard output, a string. -1: it could not be run (ENOENT: it is not installed), ended with
 * another status than 0 (EIO; the sentence ends with what it wrote to stderr), or took longer than
 * limit_ms (ETIMEDOUT; it was killed).
 */
int xf_program_run(const char *const argv[], int limit_ms, char out[XF_PROGRAM_OUT],
                   struct xf_err *err);

/* In a child, before exec: die with the parent, use XF_PROGRAM_PATH. */
void xf_program_child(void);

#endif
