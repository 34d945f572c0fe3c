/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looking at the first bytes of a pipe or socket and leaving them there, so that another
 * program may still read them from the beginning.
 */
#ifndef XF_PEEK_H
#define XF_PEEK_H

#include <stdbool.h>
#include <stddef.h>

#include "transport/err.h"

#define PEEK_MAX 256u /* longest prefix that can be looked for */

/* Whether peek_prefix() can look at this descriptor: a pipe or a stream socket. */
bool peek_possible(int fd);

/*
 * Wait until it is certain whether the data from fd begins with prefix[len]: 1 yes, 0 no (a
 * different byte or the end came first), -1 with an error.
 */
int peek_prefix(int fd, const char *prefix, size_t len, struct xf_err *err);

#endif
