/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Environment variables for tests: the only way to read one. docs/environment.md lists them, along
 * with those that anybody may set; tests/environment.sh checks the source against the list.
 */
#ifndef XF_TEST_ENV_H
#define XF_TEST_ENV_H

/*
 * The value of the variable `name`; NULL if it is not set, or if this process is not root's own:
 * real, effective and saved user 0, and no privileges beyond its caller's (setuid, file
 * capabilities). Whenever it is set, a line to syslog(3) reports that it is in effect, or ignored.
 *
 * The string belongs to the environment and is valid until that changes. Any thread.
 */
const char *xf_test_env(const char *name);

#endif
