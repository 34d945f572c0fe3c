/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Child processes of ours. Private to libxl-ext. */
#ifndef XF_PROCESS_H
#define XF_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/* Reap a child, looking for its end for at most wait_ms. True when it is gone, also when
 * somebody else has reaped it. */
bool xf_reaped(pid_t pid, int wait_ms);

#endif
