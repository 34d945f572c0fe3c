/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Builds for several releases of Xen, side by side: see builds.h. */
#include "tools/builds.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A number of up to four digits, alone in its file. */
static bool read_number(const char *sysfs, const char *name, char digits[5])
{
    char path[PATH_MAX], end;
    FILE *f = NULL;
    int n;

    if ((size_t)snprintf(path, sizeof(path), "%s/version/%s", sysfs, name) < sizeof(path))
        f = fopen(path, "re");
    if (!f)
        return false;
    n = fscanf(f, "%4[0-9]%c", digits, &end);
    fclose(f);
    return n == 1 || (n == 2 && end == '\n');
}

bool builds_running(const char *sysfs, char release[BUILDS_RELEASE])
{
    char major[5], minor[5];

    if (!read_number(sysfs, "major", major) || !read_number(sysfs, "minor", minor))
        return false;
    snprintf(release, BUILDS_RELEASE, "%s.%s", major, minor);
    return true;
}

static bool is_program(const char *path)
{
    struct stat st;

    return !stat(path, &st) && S_ISREG(st.st_mode) && !access(path, X_OK);
}

static bool find_newest(const char *dir, char path[PATH_MAX])
{
    char name[PATH_MAX], best[BUILDS_RELEASE] = "";
    DIR *d = opendir(dir);
    const struct dirent *e;

    while (d && (e = readdir(d))) {
        const char *release = e->d_name + strlen("xen-");

        if (strncmp(e->d_name, "xen-", strlen("xen-")) != 0 || strlen(release) >= BUILDS_RELEASE ||
            strverscmp(release, best) <= 0 ||
            (size_t)snprintf(name, sizeof(name), "%s/%s/xl", dir, e->d_name) >= sizeof(name) ||
            !is_program(name))
            continue;
        snprintf(best, sizeof(best), "%s", release);
        snprintf(path, PATH_MAX, "%s", name);
    }
    if (d)
        closedir(d);
    return best[0];
}

bool builds_find(const char *dir, const char *release, char path[PATH_MAX])
{
    if ((size_t)snprintf(path, PATH_MAX, "%s/xen-%s/xl", dir, release) >= PATH_MAX)
        return false;
    return *release ? is_program(path) : find_newest(dir, path);
}

bool builds_works(const char *path)
{
    int status;
    pid_t child = fork();

    if (child < 0)
        return true; /* not known; no reason not to try */
    if (!child) {
        int null = open("/dev/null", O_RDWR);

        if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
            _exit(0);
        execl(path, "xl", "migrate", "--version", (char *)NULL);
        _exit(127);
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return true;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
