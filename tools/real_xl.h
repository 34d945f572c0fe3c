/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding the distribution's xl and executing it.
 */
#ifndef XF_REAL_XL_H
#define XF_REAL_XL_H

#include <limits.h>

#include "transport/err.h"

/* Names the real xl, for installations where the search would not find it. */
#define REAL_XL_ENV "XENFERRY_REAL_XL"
/* Counts the front commands above the current process, to end a loop of them. */
#define REAL_XL_DEPTH_ENV "XENFERRY_DEPTH"

/*
 * The path of the real xl: XENFERRY_REAL_XL, else the first `xl` in PATH that is not a front
 * command, else where Debian has it. The path is not resolved: Debian's /usr/sbin/xl is a wrapper
 * that depends on its own name. Also counts, in our environment, one more front command above the
 * program run next.
 */
int real_xl_find(char path[PATH_MAX], struct xf_err *err);

/* Execute the real xl in place of this process with these arguments (argv[0] becomes "xl").
 * Returns, with an exit status, only after printing why that failed. */
int real_xl_become(char *const argv[]);

#endif
