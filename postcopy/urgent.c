/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who answers a guest that waits: see urgent.h. */
#include "postcopy/urgent.h"

#include <sys/resource.h>
#include <unistd.h>

#define BEFORE_OTHERS (-10)

void xf_urgent_thread(void)
{
    /* In Linux a nice value is a thread's own, whatever POSIX says: setpriority(2), NOTES. */
    setpriority(PRIO_PROCESS, (id_t)gettid(), BEFORE_OTHERS);
}
