/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing files whole: see write_file.h. */
#include "libxl-ext/host/write_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int xf_write_all(int fd, const void *data, size_t len)
{
    const uint8_t *at = data;

    while (len) {
        ssize_t n = write(fd, at, len);

        if (n == 0)
            errno = EIO;
        if (n == 0 || (n < 0 && errno != EINTR))
            return -1;
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

int xf_write_file(int at, const char *name, const char *text)
{
    char fresh[64];
    int fd, why;

    snprintf(fresh, sizeof(fresh), "%.50s.new", name);
    unlinkat(at, fresh, 0); /* left by a process that died here */
    fd = openat(at, fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    if (!fchmod(fd, 0600) && !xf_write_all(fd, text, strlen(text)) &&
        !renameat(at, fresh, at, name))
        return fd;
    why = errno;
    close(fd);
    unlinkat(at, fresh, 0);
    errno = why;
    return -1;
}
