/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Child processes of ours. Private to libxl-ext. */
#ifndef XF_PROCESS_H
#define XF_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/* Reap a child, waiting at most wait_ms for its end. True when it is gone, even if reaped
 * elsewhere. */
bool xf_reaped(pid_t pid, int wait_ms);

#endif
