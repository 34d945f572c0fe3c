/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line of `xl migrate-receive`. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "tools/options.h"

void receive_parse(int argc, char *const argv[], struct receive_args *out)
{
    static const struct option longs[] = {{"colo", no_argument, NULL, 'r'},
                                          {"coloft-script", required_argument, NULL, 'r'},
                                          {"userspace-colo-proxy", no_argument, NULL, 'r'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    bool foreground = false, leave = false, debug = false;
    int opt;

    memset(out, 0, sizeof(*out));
    opterr = 0;
    optind = 0;
    /* "+": argv is not reordered; an argument that is not an option is not ours anyway. */
    while ((opt = getopt_long(argc, argv, "+Fedrph", longs, NULL)) != -1) {
        switch (opt) {
        case 'F':
            foreground = true;
            break;
        case 'e':
            leave = true;
            break;
        case 'd':
            debug = true;
            break;
        case 'p':
            out->leave_paused = true;
            break;
        default:
            out->stock = true;
            return;
        }
    }
    out->stock = optind < argc;
    snprintf(out->xl_args, sizeof(out->xl_args), "%s%s%s", foreground ? "-F " : "",
             leave ? "-e " : "", debug ? "-d " : "");
    if (out->xl_args[0])
        out->xl_args[strlen(out->xl_args) - 1] = '\0';
}
