/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A process guest's memory: see memory.h. */
#include "tests/procguest/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#define LARGE (2u << 20)

/* A file system that lives as long as a file of it is open. */
static int large_file(void)
{
    int fs = fsopen("tmpfs", FSOPEN_CLOEXEC), dir = -1, file = -1;

    if (fs >= 0 && !fsconfig(fs, FSCONFIG_SET_STRING, "huge", "within_size", 0) &&
        !fsconfig(fs, FSCONFIG_SET_STRING, "size", "100%", 0) &&
        !fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
        dir = fsmount(fs, FSMOUNT_CLOEXEC, 0);
    if (dir >= 0)
        file = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (dir >= 0)
        close(dir);
    if (fs >= 0)
        close(fs);
    return file;
}

int pg_memory_open(uint64_t bytes, bool *large)
{
    const char *pages = getenv(PG_PAGES_ENV);
    int fd = pages && !strcmp(pages, "small") ? -1 : large_file();

    *large = fd >= 0;
    if (fd < 0)
        fd = memfd_create("guest", MFD_CLOEXEC);
    if (fd >= 0 && ftruncate(fd, (off_t)bytes)) {
        int e = errno;

        close(fd);
        errno = e;
        return -1;
    }
    return fd;
}

/* Is this the line of the mapping that begins at mem? Lines of its figures do not begin so. */
static bool begins(const char *line, uintptr_t mem, bool *is)
{
    uintptr_t from, to;

    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) != 2)
        return false;
    *is = from == mem;
    return true;
}

double pg_memory_large(const volatile uint8_t *mem, uint64_t bytes)
{
    unsigned long large = 0;
    char line[512];
    bool is = false;
    FILE *f;

    /* A large page is mapped whole at the first touch of any byte of it. */
    for (uint64_t at = 0; at < bytes; at += LARGE)
        (void)mem[at];
    f = fopen("/proc/self/smaps", "re");
    if (!f)
        return 0;
    while (fgets(line, sizeof(line), f))
        if (!begins(line, (uintptr_t)mem, &is) && is)
            sscanf(line, "ShmemPmdMapped: %lu kB", &large);
    fclose(f);
    return (double)large * 1024 / (double)bytes;
}
