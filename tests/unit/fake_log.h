/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A system log that a test can read: a program that uses one of these gets this syslog(3) instead
 * of the C library's.
 */
#ifndef XF_FAKE_LOG_H
#define XF_FAKE_LOG_H

/* The last line that this process logged; empty: none. Valid until the next line. */
const char *fake_log_last(void);

/* From now on, also in children, every line goes to this descriptor as well. */
void fake_log_to(int fd);

#endif
