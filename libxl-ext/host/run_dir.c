/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The run directory: see run_dir.h. */
#include "libxl-ext/host/run_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *xf_run_dir(void)
{
    const char *dir = getenv(XF_RUN_DIR_ENV);

    return dir && *dir ? dir : "/run/xenferry";
}

/* dir: must be a directory, which others may read; else a file, which they may not. */
static int judge(int fd, bool dir, const char *path, struct xf_err *err)
{
    struct stat st;

    if (fstat(fd, &st))
        return xf_fail(err, errno, "cannot look at %s: %s", path, strerror(errno));
    if (dir ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode) || st.st_nlink != 1)
        return xf_fail(err, EPERM, "%s is not a %s of ours; remove it", path,
                       dir ? "directory" : "file");
    if (st.st_uid != geteuid() || st.st_mode & (dir ? 022 : 077))
        return xf_fail(err, EPERM,
                       "%s may have been written by others (owner %u, mode %04o); see who "
                       "did, and remove it or run `chmod %s %s`",
                       path, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777u,
                       dir ? "0700" : "0600", path);
    return 0;
}

int xf_run_file_judge(int fd, const char *path, struct xf_err *err)
{
    return judge(fd, false, path, err);
}

int xf_run_dir_open(const char *dir, bool make, struct xf_err *err)
{
    int fd;

    if (make && mkdir(dir, 0700) && errno != EEXIST)
        return xf_fail(err, errno, "cannot make %s: %s; are you root?", dir, strerror(errno));
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
        return xf_fail(err, EPERM, "%s is not a directory of ours; remove it", dir);
    if (fd < 0)
        return xf_fail(err, errno, "cannot open %s: %s; are you root?", dir, strerror(errno));
    if (judge(fd, true, dir, err)) {
        close(fd);
        return -1;
    }
    return fd;
}

int xf_run_dir_make(struct xf_err *err)
{
    int fd = xf_run_dir_open(xf_run_dir(), true, err);

    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}
