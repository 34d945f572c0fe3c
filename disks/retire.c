/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The image or volume that a moved disk leaves behind: see retire.h. */
#include "disks/retire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "disks/program.h"

#define LVM_MS 60000

static int new_name(const char *path, char *out, size_t size, struct xf_err *err)
{
    time_t now = time(NULL);
    char when[32];
    struct tm t;

    strftime(when, sizeof(when), "%Y%m%dT%H%M%S", gmtime_r(&now, &t));
    if ((size_t)snprintf(out, size, "%s.moved-%s", path, when) < size)
        return 0;
    out[0] = 0;
    return xf_fail(err, ENAMETOOLONG, "its new name would be too long");
}

static int retire_file(const char *path, bool remove, char *out, size_t size, struct xf_err *err)
{
    if (remove) {
        out[0] = 0;
        return unlink(path) ? xf_fail(err, errno, "%s", strerror(errno)) : 0;
    }
    if (new_name(path, out, size, err))
        return -1;
    if (!renameat2(AT_FDCWD, path, AT_FDCWD, out, RENAME_NOREPLACE))
        return 0;
    xf_fail(err, errno, "%s", strerror(errno));
    out[0] = 0;
    return -1;
}

static int retire_volume(const char *path, bool remove, char *out, size_t size, struct xf_err *err)
{
    const char *lvremove[] = {"lvremove", "--yes", "--quiet", "--", path, NULL};
    const char *lvrename[] = {"lvrename", "--quiet", "--", path, out, NULL};
    char said[XF_PROGRAM_OUT];
    int rc;

    if (remove)
        out[0] = 0;
    else if (new_name(path, out, size, err))
        return -1;
    rc = xf_program_run(remove ? lvremove : lvrename, LVM_MS, said, err);
    if (rc)
        out[0] = 0;
    return rc;
}

int xf_image_retire(const char *path, bool remove, char *out, size_t size, struct xf_err *err)
{
    struct stat st;
    int rc;

    out[0] = 0;
    if (stat(path, &st))
        rc = xf_fail(err, errno, "%s", strerror(errno));
    else if (S_ISBLK(st.st_mode))
        rc = retire_volume(path, remove, out, size, err);
    else
        rc = retire_file(path, remove, out, size, err);
    return rc ? xf_wrap(err, "%.300s could not be %s and is left as it is", path,
                        remove ? "removed" : "renamed")
              : 0;
}
