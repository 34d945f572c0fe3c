/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Looking for Xen's save helper among the processes: see save_helper.h. */
#include "libxl-ext/xen/save_helper.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DELETED " (deleted)"

/* Where distributions and Xen's own `make install` put it (LIBEXEC_BIN, config/Paths.mk.in). Only
 * root can write there. */
static const char *const places[] = {
    "/usr/lib*/xen*/bin/libxl-save-helper",
    "/usr/local/lib*/xen*/bin/libxl-save-helper",
    "/opt/xen*/lib*/xen*/bin/libxl-save-helper",
};

/* Read up to size - 1 bytes of a process's file, and add a NUL. Returns their number, or -1. */
static ssize_t slurp(int dir, const char *name, char *buf, size_t size)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

    if (fd >= 0)
        close(fd);
    buf[n > 0 ? n : 0] = 0;
    return n;
}

/* libxl-save-helper --save-domain FD FD DOMID ... (tools/libs/light/libxl_save_callout.c) */
static bool says_so(int dir, uint32_t domid)
{
    char args[256], *end = NULL;
    const char *at = args;
    ssize_t n = slurp(dir, "cmdline", args, sizeof(args));
    unsigned long number;

    for (int i = 0; i < 4; i++) {
        if (i == 1 && strcmp(at, "--save-domain"))
            return false;
        at += strlen(at) + 1;
        if (at - args >= n)
            return false;
    }
    number = strtoul(at, &end, 10);
    return end != at && !*end && number == domid;
}

/* /proc/PID also belongs to root when another user runs an undumpable program, so only the ids
 * themselves are reliable. */
static bool is_roots(int dir)
{
    char status[4096];
    const char *line;
    unsigned ids[4];

    if (slurp(dir, "status", status, sizeof(status)) <= 0)
        return false;
    line = strstr(status, "\nUid:");
    return line && sscanf(line, "\nUid: %u %u %u %u", &ids[0], &ids[1], &ids[2], &ids[3]) == 4 &&
           !(ids[0] | ids[1] | ids[2] | ids[3]);
}

static bool is_xens(int dir)
{
    const size_t tail = strlen(DELETED);
    char path[PATH_MAX];
    ssize_t n = readlinkat(dir, "exe", path, sizeof(path));

    if (n <= 0 || n == sizeof(path))
        return false; /* a kernel thread has none */
    path[n] = 0;
    if ((size_t)n > tail && !strcmp(path + n - tail, DELETED))
        path[(size_t)n - tail] = 0;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (!fnmatch(places[i], path, FNM_PATHNAME))
            return true;
    return false;
}

/* Its directory is opened once, so that all answers are about the same process even if its pid is
 * reused. */
static bool helper_saves(int proc, const char *pid, uint32_t domid)
{
    int dir = openat(proc, pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is;

    if (dir < 0)
        return false;
    is = says_so(dir, domid) && is_roots(dir) && is_xens(dir);
    close(dir);
    return is;
}

bool xf_save_helper_runs(const char *proc, uint32_t domid)
{
    DIR *d = opendir(proc);
    struct dirent *e;
    bool found = false;

    while (d && !found && (e = readdir(d)))
        if (isdigit((unsigned char)e->d_name[0]))
            found = helper_saves(dirfd(d), e->d_name, domid);
    if (d)
        closedir(d);
    return found;
}
