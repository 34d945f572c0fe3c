/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of `xl migrate-recover`.
 */
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "tools/options.h"

enum { R_HELP, R_RESUME, R_AS_OF_SWITCH, R_FORCE, R_JSON, R_QUIET, OPTIONS };

const struct migrate_option recover_options[OPTIONS + 1] = {
    [R_HELP] = {"help", 'h', NULL, true, "Print this help."},
    [R_RESUME] = {"resume", 0, NULL, true,
                  "Do not finish the move: let DOMAIN run here again. Only if it\n"
                  "does not run at the destination, which is asked if need be."},
    [R_AS_OF_SWITCH] = {"as-of-switch", 0, NULL, true,
                        "For a guest that ran at the destination and is gone there,\n"
                        "and whose disks moved with it: let it go on here, disks and\n"
                        "memory as at the switch. What it did since is lost to it."},
    [R_FORCE] = {"force", 0, NULL, true,
                 "With these two: ask nobody. Only if the destination is off and\n"
                 "will not run it again: two running copies would destroy the\n"
                 "guest's disks, and what it did there is lost."},
    [R_JSON] = {"json", 0, NULL, true, "Report on standard output, one JSON object per line."},
    [R_QUIET] = {"quiet", 0, NULL, true, "Print errors only (with --json: only the final report)."},
};

static const char pointer[] = "(xl migrate-recover --help)";

static void check_words(const struct recover_args *a, int words, struct xf_err *err)
{
    bool back = a->resume || a->as_of_switch;

    if (!a->domain[0] || words > (back ? 1 : 2))
        xf_fail(err, EINVAL, "migrate-recover takes a domain%s, and nothing more %s",
                back ? "" : " and, if you like, the host it went to", pointer);
    else if (a->resume && a->as_of_switch)
        xf_fail(err, EINVAL,
                "--resume is for a guest that does not run there, --as-of-switch for "
                "one that did: choose one of them %s",
                pointer);
    else if (a->force && !back)
        xf_fail(err, EINVAL, "--force works only with --resume or --as-of-switch %s", pointer);
    else if (back && (a->json || a->quiet))
        xf_fail(err, EINVAL, "--json and --quiet are for finishing a move, not for %s %s",
                a->resume ? "--resume" : "--as-of-switch", pointer);
}

int recover_parse(int argc, char **argv, struct recover_args *out, struct xf_err *err)
{
    struct option longs[OPTIONS + 1] = {0};
    bool seen[OPTIONS] = {false};
    int opt, row = 0;

    memset(out, 0, sizeof(*out));
    for (int i = 0; i < OPTIONS; i++)
        longs[i] = (struct option){recover_options[i].name, no_argument, NULL, i};
    opterr = 0;
    optind = 0;
    /* Continue after an error: --json says how to report it. */
    while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        row = opt == 'h' ? R_HELP : opt;
        if (opt == '?')
            xf_fail(err, EINVAL, "there is no option '%.60s' %s", argv[optind - 1], pointer);
        else
            seen[row] = true;
    }
    out->help = seen[R_HELP];
    out->resume = seen[R_RESUME];
    out->as_of_switch = seen[R_AS_OF_SWITCH];
    out->force = seen[R_FORCE];
    out->json = seen[R_JSON];
    out->quiet = seen[R_QUIET];
    out->domain = optind < argc ? argv[optind] : "";
    out->host = optind + 1 < argc ? argv[optind + 1] : NULL;
    if (out->help)
        xf_clear(err); /* nothing else matters */
    else
        check_words(out, argc - optind, err);
    return err->num ? -1 : 0;
}

void recover_help(FILE *out)
{
    fputs("Usage: xl migrate-recover [--json] [--quiet] DOMAIN [HOST]\n"
          "       xl migrate-recover --resume [--force] DOMAIN\n"
          "       xl migrate-recover --as-of-switch [--force] DOMAIN\n\n"
          "Finish a move of DOMAIN to HOST whose `xl migrate` was killed, gave up or got no\n"
          "answer (exit status 5 or 7): ask HOST where the guest is, send it the pages that\n"
          "it lacks, and destroy the suspended domain here.\n\n",
          out);
    options_help(out, recover_options, &recover_options[OPTIONS - 1]);
    fputs("\nExit status:\n\n"
          "  0  The domain runs at HOST, complete, or has ended there (--resume and\n"
          "     --as-of-switch: it runs here).\n"
          "  1  Nothing to finish, or the move's process still runs (--resume and\n"
          "     --as-of-switch: refused).\n"
          "  5  HOST cannot be asked, or gives no clear answer: nothing has changed.\n"
          "  6  The domain does not run at HOST: --resume lets it run here.\n"
          "  7  It runs at HOST and lacks pages that are only here: try again.\n"
          "\nSee xl-migrate(1).\n",
          out);
}
