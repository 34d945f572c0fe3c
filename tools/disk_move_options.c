/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line of `xl disk-move`. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tools/disk_move.h"

#define BANDWIDTH_MAX 1000000u /* MiB/s */

enum { M_HELP, M_BANDWIDTH, M_NO_VERIFY, M_DELETE, OPTIONS };

const struct migrate_option disk_move_options[OPTIONS + 1] = {
    [M_HELP] = {"help", 'h', NULL, true, "Print this help."},
    [M_BANDWIDTH] = {"bandwidth", 0, "MIB", true, "Copy at most MIB MiB per second."},
    [M_NO_VERIFY] = {"no-verify", 0, NULL, true,
                     "Do not compare the copy with the disk before it is used."},
    [M_DELETE] = {"delete-source", 0, NULL, true,
                  "Remove the old image (a file). Default: rename it to\n"
                  "NAME.moved-TIME."},
};

static const char pointer[] = "(xl disk-move --help)";

static int take_bandwidth(const char *text, uint64_t *out, struct xf_err *err)
{
    unsigned long n = strtoul(text, NULL, 10);

    if (!isdigit((unsigned char)text[0]) || text[strspn(text, "0123456789")] || strlen(text) > 7 ||
        n < 1 || n > BANDWIDTH_MAX)
        return xf_fail(err, EINVAL, "--bandwidth takes a whole number from 1 to %u, not '%.40s' %s",
                       BANDWIDTH_MAX, text, pointer);
    *out = (uint64_t)n << 20;
    return 0;
}

static int take(struct disk_move_args *out, int row, struct xf_err *err)
{
    switch (row) {
    case M_HELP:
        out->help = true;
        return 0;
    case M_BANDWIDTH:
        return take_bandwidth(optarg, &out->move.bandwidth, err);
    case M_NO_VERIFY:
        out->move.no_verify = true;
        return 0;
    default:
        out->move.delete_source = true;
        return 0;
    }
}

int disk_move_parse(int argc, char **argv, struct disk_move_args *out, struct xf_err *err)
{
    struct option longs[OPTIONS + 1] = {0};
    int opt;

    memset(out, 0, sizeof(*out));
    for (int i = 0; i < OPTIONS; i++)
        longs[i] =
            (struct option){disk_move_options[i].name,
                            disk_move_options[i].arg ? required_argument : no_argument, NULL, i};
    opterr = 0;
    optind = 0;
    while ((opt = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
        if (opt == '?')
            xf_fail(err, EINVAL, "there is no option '%.60s' %s", argv[optind - 1], pointer);
        else if (opt == ':')
            xf_fail(err, EINVAL, "the option '%.60s' takes a value %s", argv[optind - 1], pointer);
        else if (take(out, opt == 'h' ? M_HELP : opt, err))
            break;
    }
    if (out->help) {
        xf_clear(err); /* nothing else matters */
        return 0;
    }
    if (argc - optind != 3 || !argv[optind][0] || !argv[optind + 1][0] || !argv[optind + 2][0])
        return xf_fail(err, EINVAL, "disk-move takes a domain, a disk and a target %s", pointer);
    out->move.domain = argv[optind];
    out->move.vdev = argv[optind + 1];
    out->move.target = argv[optind + 2];
    return err->num ? -1 : 0;
}

void disk_move_help(FILE *out)
{
    fputs("Usage: xl disk-move [options] DOMAIN DISK TARGET\n\n"
          "Move DISK (xvda, ...) of the running DOMAIN, which never stops, to TARGET on this\n"
          "host: a directory, a new file, or a block device. QEMU must serve the disk\n"
          "(qdisk), from a raw image.\n\n",
          out);
    options_help(out, disk_move_options, &disk_move_options[OPTIONS - 1]);
    fputs("\nExit status:\n\n"
          "  0  The domain uses TARGET.\n"
          "  1  Refused: nothing was touched.\n"
          "  3  It failed or was cancelled: the domain uses its old image, and nothing is\n"
          "     left of the new one.\n"
          "  4  The domain uses TARGET, or may, and something failed: try again.\n"
          "\nSee xl-disk-move(1).\n",
          out);
}
