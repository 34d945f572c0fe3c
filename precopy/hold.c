/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hold points for tests: see hold.h. */
#include "precopy/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "transport/test_env.h"

#define HOLD_STEPS 6000 /* of 20 ms */

int xf_hold(const char *point, struct xf_tick tick, struct xf_err *err)
{
    const char *hold = xf_test_env("XENFERRY_HOLD");
    const struct timespec step = {.tv_nsec = 20 * 1000 * 1000};
    size_t len = strlen(point);
    const char *file;
    int fd;

    if (!hold || strncmp(hold, point, len) || hold[len] != '=')
        return 0;
    file = hold + len + 1;
    fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return xf_fail(err, errno, "cannot create %s (XENFERRY_HOLD): %s", file, strerror(errno));
    close(fd);
    for (int i = 0; i < HOLD_STEPS && access(file, F_OK) == 0; i++) {
        if (xf_tick(tick, err))
            return -1;
        nanosleep(&step, NULL);
    }
    return 0;
}
