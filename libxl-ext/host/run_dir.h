/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The run directory, where moves keep what other processes on this host look for: sockets, locks,
 * records, results. An attacker who could write there could redirect a guest's memory or forge a
 * move's status; so it is created and checked here and nowhere else.
 *
 * Any thread; no state but the environment.
 */
#ifndef XF_RUN_DIR_H
#define XF_RUN_DIR_H

#include <stdbool.h>

#include "transport/err.h"

/* Its path: /run/xenferry, or the value of XENFERRY_RUN_DIR. Never freed. */
#define XF_RUN_DIR_ENV "XENFERRY_RUN_DIR"
const char *xf_run_dir(void);

/*
 * Open a run directory (`dir`: xf_run_dir() except in tests), created with mode 0700 if it is
 * missing and `make` is set. Returns a descriptor for openat() and the like, the caller's to close.
 * -1: EPERM if it is not this user's or others can write to it; else the system's error, such as
 * ENOENT.
 */
int xf_run_dir_open(const char *dir, bool make, struct xf_err *err);

/* xf_run_dir() for callers that use paths: create it if missing, with the same checks. */
int xf_run_dir_make(struct xf_err *err);

/* Check an open file of the run directory (path is for the error): EPERM unless it is a file with a
 * single link, this user's, and nobody else can read or write it. */
int xf_run_file_judge(int fd, const char *path, struct xf_err *err);

#endif
