/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Variables of the environment that are for tests: the only way to read one. docs/environment.md
 * lists them, with those that anybody may set; tests/environment.sh holds the source to the list.
 */
#ifndef XF_TEST_ENV_H
#define XF_TEST_ENV_H

/*
 * The value of the variable `name`; NULL if it is not set, or if this process is not root's: real,
 * effective and saved user 0, and no program that the kernel gave more than its caller has (setuid,
 * file capabilities). Whenever it is set, syslog(3) gets a line: that it is in effect, or ignored.
 *
 * The value is the environment's own; valid until that changes. Any thread.
 */
const char *xf_test_env(const char *name);

#endif
