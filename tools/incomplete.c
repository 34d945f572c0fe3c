/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which calls read a guest's memory, and of whom: see incomplete.h. */
#include "tools/incomplete.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "libxl-ext/status.h"
#include "tools/format.h"

/* The distribution's sub-commands that do, with their letters (tools/xl of Xen 4.17 and
 * later); a migration is `xl migrate`'s own to look at (migrate.c). */
static const struct {
    const char *name;
    const char *letters;
    bool last; /* the domain is the last word, whatever options it has; else the first */
} readers[] = {
    {"save", "+cp", false},  {"dump-core", "+", false}, {"remus", "+Fbundi:s:N:ecp", false},
    {"suspend", "+", false}, {"fork-vm", NULL, true},
};

const char *incomplete_victim(const struct front *f)
{
    int argc = f->argc - f->cmd;
    char **argv = f->argv + f->cmd;

    for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
        if (strcmp(argv[0], readers[i].name) != 0)
            continue;
        if (readers[i].last)
            return argc > 1 ? argv[argc - 1] : NULL;
        /* "+": nothing is moved, and the words after the first are not for us. An option that
         * xl does not have is for xl to complain about. */
        opterr = 0;
        optind = 0;
        while (getopt(argc, argv, readers[i].letters) != -1)
            ;
        return optind < argc ? argv[optind] : NULL;
    }
    return NULL;
}

int incomplete_refuse(const char *domain, struct xf_err *err)
{
    char host[256], a[FMT_LEN], much[48] = "part";
    uint64_t missing;

    enum xf_lacks lacks = domain ? xf_lacks_pages(domain, &missing, host) : XF_LACKS_NONE;

    if (lacks != XF_LACKS_NONE && missing != XF_NO_COUNT)
        snprintf(much, sizeof(much), "%s", fmt_bytes(a, (double)missing * 4096));
    switch (lacks) {
    case XF_LACKS_NONE:
        break;
    case XF_LACKS_COMING:
        return xf_fail(err, EBUSY,
                       "%s of the memory of \"%s\" is not on this host yet, but still at %s, from "
                       "where it is being moved: wait until it is here; `xl migrate-status` shows "
                       "how far it is",
                       much, domain, host[0] ? host : "its source");
    case XF_LACKS_NOBODY:
        return xf_fail(err, EBUSY,
                       "Xen counts %s of the memory of \"%s\" as paged out, and no move that would "
                       "bring it answers: it would be waited for without end, or be left out; see "
                       "xl-migrate(1), \"While memory is missing\"",
                       much, domain);
    }
    return 0;
}
