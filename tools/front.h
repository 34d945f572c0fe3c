/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the front command share: how xl was called, and the sub-commands
 * that are ours. Not here: anything a library user would need (libxl-ext/libxl_ext.h).
 */
#ifndef XF_FRONT_H
#define XF_FRONT_H

#include <stdbool.h>

#include "transport/err.h"

/* xl's options before the sub-command. */
struct xl_globals {
    int verbose;     /* -v, counted */
    bool cr;         /* -t: rewrite progress in place even where it is no terminal */
    bool timestamps; /* -T */
    bool dry_run;    /* -N */
    bool force;      /* -f */
};

/* One call of xl. */
struct front {
    char **argv; /* as started, ended by NULL: what the real xl is to be given */
    int argc;
    int cmd; /* where in argv the sub-command stands; 0: there is none */
    struct xl_globals globals;
};

/* Returns -1 when the words before the sub-command are not xl's: the real xl must say so. */
int front_parse(int argc, char **argv, struct front *out);

/* "xl CMD: sentence" on stderr, once for every error. */
void front_error(const char *cmd, const struct xf_err *err);

/* The sub-commands; each returns xl's exit status. */
int cmd_migrate(const struct front *f);
int cmd_migrate_receive(const struct front *f);
int cmd_migrate_recover(const struct front *f);
int cmd_migrate_status(const struct front *f);
int cmd_migrate_postcopy(const struct front *f);

#endif
