/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Namespaces of a test's own: see own_ns.h. */
#include "tests/unit/own_ns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static bool put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return good;
}

/* This user is root in a user namespace of its own. */
static bool be_root(void)
{
    char uids[40], gids[40];

    snprintf(uids, sizeof(uids), "0 %u 1", getuid());
    snprintf(gids, sizeof(gids), "0 %u 1", getgid());
    return !unshare(CLONE_NEWUSER) && put("/proc/self/setgroups", "deny") &&
           put("/proc/self/uid_map", uids) && put("/proc/self/gid_map", gids);
}

int own_namespaces(int flags)
{
    bool root = geteuid() == 0;

    if ((root || be_root()) && !unshare(flags) &&
        (!(flags & CLONE_NEWNS) || !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)))
        return 0;
    printf("needs root: no namespaces of its own: %s\n", strerror(errno));
    return root ? 2 : 77;
}
