/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line of `xl disk-move` (disk_move_options.c). */
#ifndef XF_TOOLS_DISK_MOVE_H
#define XF_TOOLS_DISK_MOVE_H

#include "tools/options.h"

struct disk_move_args {
    bool help;
    struct xf_disk_move_opts move; /* points into argv */
};
extern const struct migrate_option disk_move_options[];

/* argv[0] is "disk-move". argv may be reordered. */
int disk_move_parse(int argc, char **argv, struct disk_move_args *out, struct xf_err *err);
void disk_move_help(FILE *out);

#endif
