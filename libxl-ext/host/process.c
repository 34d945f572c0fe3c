/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Child processes of ours: see process.h. */
#include "libxl-ext/host/process.h"

#include <errno.h>
#include <sys/wait.h>

#include "transport/clock.h"

bool xf_reaped(pid_t pid, int wait_ms)
{
    const struct timespec step = {.tv_nsec = 10 * 1000 * 1000};
    int64_t until = xf_now_ms() + wait_ms;

    for (;;) {
        pid_t got = waitpid(pid, NULL, WNOHANG);

        if (got == pid || (got < 0 && errno == ECHILD))
            return true;
        if (xf_now_ms() >= until)
            return false;
        nanosleep(&step, NULL);
    }
}
