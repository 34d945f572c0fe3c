/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The threads that handle page requests: see urgent.h. */
#include "postcopy/urgent.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BEFORE_OTHERS (-10)
#define SLICE_NS 100000u

void xf_urgent_thread(void)
{
    struct sched_attr attr = {.size = sizeof(attr),
                              .sched_policy = SCHED_NORMAL,
                              .sched_nice = BEFORE_OTHERS,
                              .sched_runtime = SLICE_NS};

    syscall(SYS_sched_setattr, 0, &attr, 0);
}
