/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding the distribution's xl and becoming it.
 */
#ifndef XF_REAL_XL_H
#define XF_REAL_XL_H

#include <limits.h>

#include "transport/err.h"

/* Names the real xl, for installations where the search would not find it. */
#define REAL_XL_ENV "XENFERRY_REAL_XL"
/* Counts how often we stand above the current process: ends a loop of front commands. */
#define REAL_XL_DEPTH_ENV "XENFERRY_DEPTH"

/*
 * The path of the real xl: XENFERRY_REAL_XL, else the first `xl` in PATH that is not a
 * front command, else where Debian has it. The path is not resolved: Debian's /usr/sbin/xl
 * is a wrapper that goes by its own name. Also counts, in our environment, that one more
 * front command stands before what is now run.
 */
int real_xl_find(char path[PATH_MAX], struct xf_err *err);

/* Run the real xl in place of this process with these words (argv[0] becomes "xl").
 * Returns an exit status only when that failed, after saying why. */
int real_xl_become(char *const argv[]);

#endif
