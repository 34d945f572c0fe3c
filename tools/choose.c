/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The `xl` that is installed. It executes the build of Xenferry for the Xen that runs here (xl.c),
 * as Debian's wrapper does with Xen's tools, so that before a host's upgrade the builds for both
 * releases can be there. A call that does not concern Xenferry goes to the distribution's xl at
 * once; so does every call that the distribution's xl knows, when there is no such build or its
 * libraries are missing. Links nothing but the C library.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/builds.h"
#include "tools/front.h"
#include "tools/incomplete.h"
#include "tools/real_xl.h"

enum kind {
    NOT_OURS,
    GUARDED, /* the distribution's, which a build refuses for guests that are being moved */
    BOTH,    /* Xenferry's, and the distribution's has one of that name, too */
    OURS,
};

static enum kind kind_of(const struct front *f)
{
    const char *name = f->cmd ? f->argv[f->cmd] : "";
    unsigned does;

    if (!strcmp(name, "migrate") || !strcmp(name, "migrate-receive"))
        return BOTH;
    if (!strncmp(name, "migrate-", strlen("migrate-")) || !strcmp(name, "disk-move"))
        return OURS;
    return f->cmd && incomplete_victim(f, &does) ? GUARDED : NOT_OURS;
}

/* Returns only if there is no such build, or it does not work; the reason has been printed. */
static void become_build(const struct front *f, enum kind kind)
{
    char release[BUILDS_RELEASE] = "", path[PATH_MAX];
    const char *instead = kind == OURS ? "" : "; the distribution's xl is used instead";
    const char *name = f->argv[f->cmd];

    if (!builds_running(XF_HYPERVISOR, release) && kind == GUARDED)
        return; /* no Xen, no guest */
    if (!builds_find(XF_BUILDS, release, path))
        fprintf(stderr,
                "xl %s: Xenferry for Xen %s is not installed here (in " XF_BUILDS
                "): install the package xenferry-%s, or `make install` it%s\n",
                name, *release ? release : "of any release", *release ? release : "RELEASE",
                instead);
    else if (kind != OURS && !builds_works(path))
        fprintf(stderr,
                "xl %s: %s does not start, since libraries are missing: install those that `ldd "
                "%s` says are not found%s\n",
                name, path, path, instead);
    else {
        execv(path, f->argv);
        fprintf(stderr, "xl %s: cannot run %s: %s%s\n", name, path, strerror(errno), instead);
    }
}

int main(int argc, char **argv)
{
    struct front f;
    enum kind kind = front_parse(argc, argv, &f) ? NOT_OURS : kind_of(&f);

    if (kind != NOT_OURS)
        become_build(&f, kind);
    return kind == OURS ? 1 : real_xl_become(argv);
}
