/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parsing xl's command line up to the sub-command, and printing errors.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/front.h"

int front_parse(int argc, char **argv, struct front *out)
{
    int opt;

    memset(out, 0, sizeof(*out));
    out->argc = argc;
    out->argv = argv;

    opterr = 0;
    optind = 0;
    /* "+": stop at the first non-option; argv is not reordered. */
    while ((opt = getopt(argc, argv, "+vftTN")) != -1) {
        switch (opt) {
        case 'v':
            out->globals.verbose++;
            break;
        case 'f':
            out->globals.force = true;
            break;
        case 't':
            out->globals.cr = true;
            break;
        case 'T':
            out->globals.timestamps = true;
            break;
        case 'N':
            out->globals.dry_run = true;
            break;
        default:
            return -1;
        }
    }
    out->cmd = optind < argc ? optind : 0;
    return 0;
}

void front_error(const char *cmd, const struct xf_err *err)
{
    fprintf(stderr, "xl %s: %s\n", cmd, err->text);
}
