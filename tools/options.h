/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command lines of `xl migrate`, `xl migrate-receive` and `xl migrate-recover`: tables of
 * options that drive parsing, --help and the test of the manual page. Nothing here prints an error
 * or exits.
 */
#ifndef XF_OPTIONS_H
#define XF_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "libxl-ext/host/config.h"
#include "libxl-ext/libxl_ext.h"
#include "tools/front.h"

struct migrate_option {
    const char *name; /* long name, without the dashes; NULL: only a letter */
    int letter;       /* short; 0: only a long name (all of ours) */
    const char *arg;  /* name of its value; "[=NAME]": it may be left out; NULL: it has none */
    bool ours;        /* on the command line it selects Xenferry */
    const char *help; /* lines for --help */
};
/* Ended by a row without name and letter. */
extern const struct migrate_option migrate_options[];

/* The parsed `xl migrate ...`. `move` points into argv, the configuration and this struct, which
 * must therefore stay in place. */
struct migrate_args {
    struct xf_move_opts move;
    bool stock;         /* for the real xl: with --stock, or nothing selects Xenferry */
    bool help, version; /* only print that */
    bool json;
    bool quiet;
    const char *report;     /* file for the page about the move; NULL: none */
    bool no_wait;           /* return once the guest runs at the destination */
    const char *stock_word; /* the --stock word of argv, to be omitted; or NULL */
    char receive_args[16];
    char xl_args[24];
};

/*
 * argv[0] is "migrate". stderr_tty: as in stock xl, the far side is told when we have a terminal.
 * On failure `out` holds what was parsed so far (json and quiet say how to report it).
 */
int migrate_parse(int argc, char *const argv[], const struct xl_globals *g,
                  const struct xf_config *cfg, bool stderr_tty, struct migrate_args *out,
                  struct xf_err *err);
void migrate_help(FILE *out);

/* The parsed `xl migrate-receive ...` (receive_options.c). */
struct receive_args {
    bool stock; /* Remus, COLO or something only the real xl understands */
    bool leave_paused;
    char xl_args[16]; /* the rest, for the real xl: "-e", "-F -d", ... */
};
void receive_parse(int argc, char *const argv[], struct receive_args *out);

/* The parsed `xl migrate-recover ...` (recover_options.c). */
struct recover_args {
    bool help;
    bool resume, as_of_switch, force;
    bool json, quiet;
    const char *domain, *host; /* in argv; host: NULL if it was not given */
};
extern const struct migrate_option recover_options[];

/* argv[0] is "migrate-recover". argv may be reordered. On failure `out` holds what was parsed so
 * far. */
int recover_parse(int argc, char **argv, struct recover_args *out, struct xf_err *err);
void recover_help(FILE *out);

/* The lines of --help for rows first..last of a table. */
void options_help(FILE *out, const struct migrate_option *first, const struct migrate_option *last);

#endif
