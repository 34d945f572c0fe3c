/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* As much of an NBD client as tests of disks that move need. Blocking. */
#ifndef XF_NBD_CLIENT_H
#define XF_NBD_CLIENT_H

#include <stdint.h>

enum { NBD_READ = 0, NBD_WRITE = 1, NBD_FLUSH = 3 };

/* The size of the export; 0: it cannot be had. */
uint64_t nbd_begin(int sock, const char *name);
/* 0, or the errno that the server answers; -1: the connection has ended. For NBD_WRITE and
 * NBD_FLUSH. */
int nbd_ask(int sock, uint16_t command, uint64_t at, const void *data, uint32_t len);

#endif
