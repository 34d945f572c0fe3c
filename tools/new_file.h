/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing a file that readers see only complete: under another name in the same directory, then
 * renamed. For a report and for metrics. No state; new_file_write() sets the umask for a moment, so
 * no other thread may create files then.
 */
#ifndef XF_NEW_FILE_H
#define XF_NEW_FILE_H

#include <limits.h>
#include <stddef.h>

#include "transport/err.h"

/* Can a file of this name be written? Tried out, and nothing is left behind. `absolute` gets its
 * name, valid also after a change of directory. An existing file must be a regular one. */
int new_file_check(const char *path, char absolute[PATH_MAX], struct xf_err *err);

/* Write it, readable by all (less the umask), in place of an older one. On failure the older one
 * stays as it was. */
int new_file_write(const char *path, const char *text, size_t len, struct xf_err *err);

#endif
