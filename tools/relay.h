/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Running another program as if it had replaced us, except that a few bytes that we have already
 * written on its behalf are removed from the beginning of its output.
 */
#ifndef XF_RELAY_H
#define XF_RELAY_H

#include <stddef.h>

#include "transport/err.h"

/*
 * Run path with argv; its standard input and error are ours, its output goes to ours without the
 * leading bytes `drop` (all or nothing: output that begins differently is passed on in full).
 * SIGTERM, SIGINT and SIGHUP are passed on to it. Our standard input is closed. Returns its wait
 * status (see waitpid(2)), or -1 with an error when it could not be started.
 */
int relay_run(const char *path, char *const argv[], const char *drop, size_t drop_len,
              struct xf_err *err);

/* End this process as the wait status says: by the same exit status, or the same signal. */
_Noreturn void relay_exit(int status);

#endif
