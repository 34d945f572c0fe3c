/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which calls of the distribution's xl concern a guest's memory, or let it run: see incomplete.h. A
 * file of its own, since the front (choose.c) asks this, too, and links none of the rest. */
#include <getopt.h>
#include <string.h>

#include "tools/incomplete.h"

/* The distribution's sub-commands, with their letters (tools/xl of Xen 4.17 and later); `xl
 * migrate` checks for itself (migrate.c). */
static const struct {
    const char *name;
    const char *letters;
    bool last; /* the domain is the last word, whatever options it has; else the first */
    unsigned does;
} commands[] = {
    {"save", "+cp", false, INCOMPLETE_READS | INCOMPLETE_STOPS},
    {"dump-core", "+", false, INCOMPLETE_READS},
    {"remus", "+Fbundi:s:N:ecp", false, INCOMPLETE_READS | INCOMPLETE_STOPS},
    {"suspend", "+", false, INCOMPLETE_READS | INCOMPLETE_STOPS},
    {"fork-vm", NULL, true, INCOMPLETE_READS | INCOMPLETE_RUNS},
    {"resume", "+", false, INCOMPLETE_RUNS},
    {"unpause", "+", false, INCOMPLETE_RUNS},
    /* The new interface's driver here would read memory; interfaces that existed at the switch are
     * held until all pages are here (libxl-ext/sink/hold_vif.c). */
    {"network-attach", "+", false, INCOMPLETE_READS},
};

const char *incomplete_victim(const struct front *f, unsigned *does)
{
    int argc = f->argc - f->cmd;
    char **argv = f->argv + f->cmd;

    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[0], commands[i].name) != 0)
            continue;
        *does = commands[i].does;
        if (commands[i].last)
            return argc > 1 ? argv[argc - 1] : NULL;
        /* "+": argv is not reordered, and later arguments do not concern us. xl itself reports an
         * unknown option. */
        opterr = 0;
        optind = 0;
        while (getopt(argc, argv, commands[i].letters) != -1)
            ;
        return optind < argc ? argv[optind] : NULL;
    }
    return NULL;
}
