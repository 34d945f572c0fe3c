/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `xl migrate-recover`: what a person does after a move that could not end by itself.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#include "libxl-ext/libxl_ext.h"
#include "tools/front.h"

static const char help[] =
    "Usage: xl migrate-recover --resume DOMAIN\n\n"
    "After a move that ended with status 5 or 6: let DOMAIN, suspended here, run here again.\n\n"
    "  -h, --help  Print this help.\n"
    "  --resume    Resume it here. Only when it does not run at the destination: two\n"
    "              running copies would destroy the guest's disks. Look there first,\n"
    "              with `xl list`.\n";

int cmd_migrate_recover(const struct front *f)
{
    static const struct option longs[] = {
        {"help", no_argument, NULL, 'h'}, {"resume", no_argument, NULL, 'r'}, {NULL, 0, NULL, 0}};
    int argc = f->argc - f->cmd, opt;
    char **argv = f->argv + f->cmd;
    struct xf_err err = {0};
    bool resume = false;

    opterr = 0;
    optind = 0;
    while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        switch (opt) {
        case 'h':
            fputs(help, stdout);
            return 0;
        case 'r':
            resume = true;
            break;
        default:
            xf_fail(&err, EINVAL, "there is no option '%.60s' (xl migrate-recover --help)",
                    argv[optind - 1]);
            front_error("migrate-recover", &err);
            return 1;
        }
    }
    if (!resume || argc - optind != 1)
        xf_fail(&err, EINVAL,
                "say what to do and with which domain: xl migrate-recover --resume DOMAIN "
                "(xl migrate-recover --help)");
    else if (!xf_resume_here(argv[optind], &err))
        printf("%s runs here again.\n", argv[optind]);
    if (!err.num)
        return 0;
    front_error("migrate-recover", &err);
    return 1;
}
