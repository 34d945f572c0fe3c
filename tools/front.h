/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shared by the files of the front command: how xl was called, and our own sub-commands. Anything a
 * library user needs is in libxl-ext/libxl_ext.h.
 */
#ifndef XF_FRONT_H
#define XF_FRONT_H

#include <stdbool.h>

#include "transport/err.h"

/* xl's options before the sub-command. */
struct xl_globals {
    int verbose;     /* -v, counted */
    bool cr;         /* -t: rewrite progress in place even without a terminal */
    bool timestamps; /* -T */
    bool dry_run;    /* -N */
    bool force;      /* -f */
};

/* One call of xl. */
struct front {
    char **argv; /* as started, ended by NULL: to be passed to the real xl */
    int argc;
    int cmd; /* index of the sub-command in argv; 0: there is none */
    struct xl_globals globals;
};

/* Returns -1 when the options before the sub-command are not xl's: the real xl reports that. */
int front_parse(int argc, char **argv, struct front *out);

/* "xl CMD: sentence" on stderr, once for every error. */
void front_error(const char *cmd, const struct xf_err *err);

/* The sub-commands; each returns xl's exit status. */
int cmd_migrate(const struct front *f);
int cmd_migrate_receive(const struct front *f);
int cmd_migrate_recover(const struct front *f);
int cmd_migrate_status(const struct front *f);
int cmd_migrate_report(const struct front *f);
int cmd_migrate_postcopy(const struct front *f);
int cmd_migrate_wait(const struct front *f);
int cmd_migrate_cancel(const struct front *f);
int cmd_migrate_drain(const struct front *f);
int cmd_migrate_cpu(const struct front *f);
int cmd_disk_move(const struct front *f);

#endif
