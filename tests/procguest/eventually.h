/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Waiting for an event, with a limit that only a failing test reaches. */
#ifndef XF_PG_EVENTUALLY_H
#define XF_PG_EVENTUALLY_H

#include <stdbool.h>
#include <time.h>

#include "transport/clock.h"

#define PG_EVENTUALLY_NS 60000000000ull

/* One millisecond. */
static inline void pg_nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Whether cond has become true. */
#define EVENTUALLY(cond)                                                                           \
    ({                                                                                             \
        uint64_t end_ = xf_now_ns() + PG_EVENTUALLY_NS;                                            \
        while (!(cond) && xf_now_ns() < end_)                                                      \
            pg_nap();                                                                              \
        (bool)(cond);                                                                              \
    })

#endif
