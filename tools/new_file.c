/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing a file that readers see only complete: see new_file.h. */
#include "tools/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libxl-ext/host/write_file.h"

static int say(const char *path, int num, struct xf_err *err)
{
    return xf_fail(err, num, "cannot write %.300s: %s", path, strerror(num));
}

/* Make a file beside `path`, of a name that nobody else uses. Returns its descriptor. */
static int begin(const char *path, char draft[PATH_MAX + 16], struct xf_err *err)
{
    const char *slash = strrchr(path, '/');
    int dir = slash ? (int)(slash - path) + 1 : 0, fd;

    /* A collector reads *.prom only, and no file that begins with a dot. */
    snprintf(draft, PATH_MAX + 16, "%.*s.%s.XXXXXX", dir, path, path + dir);
    fd = mkostemp(draft, O_CLOEXEC);
    return fd >= 0 ? fd : say(path, errno, err);
}

int new_file_check(const char *path, char absolute[PATH_MAX], struct xf_err *err)
{
    char draft[PATH_MAX + 16], here[PATH_MAX];
    const char *slash = strrchr(path, '/');
    struct stat st;
    int fd;

    if (!path[0] || (slash && !slash[1]))
        return xf_fail(err, EINVAL, "cannot write \"%.300s\": this is no name of a file", path);
    if (!stat(path, &st) && !S_ISREG(st.st_mode))
        return xf_fail(err, EINVAL, "cannot write %.300s: it is not a regular file", path);
    if (path[0] != '/' && !getcwd(here, sizeof(here)))
        return say(path, errno, err);
    if (snprintf(absolute, PATH_MAX, "%s%s%s", path[0] == '/' ? "" : here,
                 path[0] == '/' ? "" : "/", path) >= PATH_MAX)
        return say(path, ENAMETOOLONG, err);
    fd = begin(absolute, draft, err);
    if (fd < 0)
        return -1;
    close(fd);
    unlink(draft);
    return 0;
}

int new_file_write(const char *path, const char *text, size_t len, struct xf_err *err)
{
    char draft[PATH_MAX + 16];
    mode_t mask = umask(022);
    int fd = begin(path, draft, err), num = 0;

    umask(mask);
    if (fd < 0)
        return -1;
    if (xf_write_all(fd, text, len) || fchmod(fd, 0666 & ~mask))
        num = errno;
    /* A full disk may show only here. */
    if (close(fd) && !num)
        num = errno;
    if (!num && rename(draft, path))
        num = errno;
    if (!num)
        return 0;
    unlink(draft);
    return say(path, num, err);
}
