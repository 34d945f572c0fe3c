/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The run directory, where moves leave what others on this host look for: sockets, locks,
 * records, ends. Who could write there could make us send a guest's memory to anybody, or say
 * what is not so of a move; so it is made, and judged, here and nowhere else.
 *
 * Any thread; no state but the environment.
 */
#ifndef XF_RUN_DIR_H
#define XF_RUN_DIR_H

#include <stdbool.h>

#include "transport/err.h"

/* Its path: /run/xenferry, or what XENFERRY_RUN_DIR says. Never freed. */
#define XF_RUN_DIR_ENV "XENFERRY_RUN_DIR"
const char *xf_run_dir(void);

/*
 * Open a run directory (`dir`: xf_run_dir() but in tests), made with mode 0700 if it is not there
 * and `make` says so. Returns a descriptor for openat() and its like, the caller's to close. -1:
 * EPERM if it is not this user's, or others can write to it; else what the system says, ENOENT
 * among it.
 */
int xf_run_dir_open(const char *dir, bool make, struct xf_err *err);

/* xf_run_dir() for those who use paths: make it if need be, and refuse it likewise. */
int xf_run_dir_make(struct xf_err *err);

/* An open file of the run directory (path is for the error): EPERM unless it is a file of one
 * name, this user's, and nobody else can read or write it. */
int xf_run_file_judge(int fd, const char *path, struct xf_err *err);

#endif
