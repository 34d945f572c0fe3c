/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding the distribution's xl and executing it. The danger is finding ourselves: the same file
 * under another name, a copy of it, or a script that calls us again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/builds.h"
#include "tools/front.h"
#include "tools/real_xl.h"

/* A file that contains these bytes is a front command, whatever its name or path. */
static const char marker[] = "xenferry front command 3b1e0f6c-6f0f-4d0e-9a55-7b6c1f1f6b11";

/* No legitimate nesting (xl, a hotplug script, xl again) is this deep. */
#define DEPTH_MAX 16

/* Where Debian has it, or our package has put it (debian/xenferry.preinst). */
static const char *const usual_places[] = {"/usr/sbin/xl", "/usr/libexec/xl"};

static bool holds_marker(const char *path, off_t size)
{
    bool found = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    void *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map != MAP_FAILED) {
        found = memmem(map, size, marker, sizeof(marker) - 1) != NULL;
        munmap(map, size);
    }
    close(fd);
    return found;
}

enum verdict { NO_PROGRAM, A_FRONT, A_REAL_XL };

static enum verdict examine(const char *path)
{
    struct stat self, st;

    if (stat(path, &st) || !S_ISREG(st.st_mode) || access(path, X_OK))
        return NO_PROGRAM;
    if (!stat("/proc/self/exe", &self) && self.st_dev == st.st_dev && self.st_ino == st.st_ino)
        return A_FRONT;
    return st.st_size && holds_marker(path, st.st_size) ? A_FRONT : A_REAL_XL;
}

static int search_path(char path[PATH_MAX])
{
    const char *dirs = getenv("PATH");
    char release[BUILDS_RELEASE];

    while (dirs && *dirs) {
        size_t len = strcspn(dirs, ":");
        /* Relative entries are not searched: root should not run programs from the current
         * directory. */
        if (dirs[0] == '/' && len + sizeof("/xl") <= PATH_MAX) {
            snprintf(path, PATH_MAX, "%.*s/xl", (int)len, dirs);
            if (examine(path) == A_REAL_XL)
                return 0;
        }
        dirs += len + (dirs[len] == ':');
    }
    for (size_t i = 0; i < sizeof(usual_places) / sizeof(usual_places[0]); i++) {
        snprintf(path, PATH_MAX, "%s", usual_places[i]);
        if (examine(path) == A_REAL_XL)
            return 0;
    }
    if (!builds_running(XF_HYPERVISOR, release))
        return -1;
    snprintf(path, PATH_MAX, "/usr/lib/xen-%s/bin/xl", release);
    return examine(path) == A_REAL_XL ? 0 : -1;
}

static int count_depth(struct xf_err *err)
{
    const char *was = getenv(REAL_XL_DEPTH_ENV);
    long depth = was ? strtol(was, NULL, 10) : 0;
    char now[24];

    if (depth < 0 || depth >= DEPTH_MAX)
        return xf_fail(err, ELOOP,
                       "the xl found as the real one leads back to this command; set " REAL_XL_ENV
                       " to the path of the distribution's xl");
    snprintf(now, sizeof(now), "%ld", depth + 1);
    if (setenv(REAL_XL_DEPTH_ENV, now, 1))
        return xf_fail(err, errno, "no memory for the environment");
    return 0;
}

int real_xl_find(char path[PATH_MAX], struct xf_err *err)
{
    const char *named = getenv(REAL_XL_ENV);

    if (count_depth(err))
        return -1;
    if (!named || !*named) {
        if (!search_path(path))
            return 0;
        return xf_fail(
            err, ENOENT,
            "no other xl found in PATH or in /usr/sbin: install xen-utils, or set " REAL_XL_ENV
            " to the path of the distribution's xl");
    }
    if (strlen(named) >= PATH_MAX)
        return xf_fail(err, ENAMETOOLONG, REAL_XL_ENV " is too long for a path");
    switch (examine(named)) {
    case NO_PROGRAM:
        return xf_fail(
            err, ENOENT,
            REAL_XL_ENV
            " is %s, which is not a program; set it to the path of the distribution's xl",
            named);
    case A_FRONT:
        return xf_fail(err, ELOOP,
                       REAL_XL_ENV
                       " is %s, which is this command itself; set it to the path of the "
                       "distribution's xl",
                       named);
    case A_REAL_XL:
        break;
    }
    snprintf(path, PATH_MAX, "%s", named);
    return 0;
}

int real_xl_become(char *const argv[])
{
    struct xf_err err = {0};
    char path[PATH_MAX];
    size_t n = 0;

    if (real_xl_find(path, &err)) {
        fprintf(stderr, "xl: %s\n", err.text);
        return 127;
    }
    while (argv[n])
        n++;
    char **words = calloc(n + 2, sizeof(*words));
    if (!words) {
        fprintf(stderr, "xl: out of memory\n");
        return 127;
    }
    words[0] = (char *)"xl";
    for (size_t i = 1; i < n; i++)
        words[i] = argv[i];
    execv(path, words);
    fprintf(stderr, "xl: cannot run %s: %s\n", path, strerror(errno));
    free(words);
    return 127;
}
