/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing files whole. Errors are -1 with errno. Any thread; no state. */
#ifndef XF_WRITE_FILE_H
#define XF_WRITE_FILE_H

#include <stddef.h>

/* All len bytes, to a descriptor that blocks. */
int xf_write_all(int fd, const void *data, size_t len);

/*
 * The text becomes the file `name`, of mode 0600, of the directory `at`, in place of a former one,
 * or nothing changes. Meanwhile there is NAME.new, which the caller has a lock for. Returns a
 * descriptor of the file for reading and writing, the caller's to close.
 */
int xf_write_file(int at, const char *name, const char *text);

#endif
