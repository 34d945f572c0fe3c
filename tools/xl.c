/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The front command: which `xl` serves this call. Our sub-commands run here. Everything else is
 * passed to the distribution's xl by exec, so that its behaviour cannot differ, unless the call
 * would read memory that is still elsewhere, or let a guest run that a move holds.
 */
#include <string.h>

#include "tools/front.h"
#include "tools/incomplete.h"
#include "tools/real_xl.h"

static const struct {
    const char *name;
    int (*run)(const struct front *f);
} commands[] = {
    {"migrate", cmd_migrate},
    {"migrate-receive", cmd_migrate_receive},
    {"migrate-recover", cmd_migrate_recover},
    {"migrate-status", cmd_migrate_status},
    {"migrate-report", cmd_migrate_report},
    {"migrate-postcopy", cmd_migrate_postcopy},
    {"migrate-wait", cmd_migrate_wait},
    {"migrate-cancel", cmd_migrate_cancel},
    {"migrate-drain", cmd_migrate_drain},
    {"migrate-cpu", cmd_migrate_cpu},
    {"disk-move", cmd_disk_move},
};

int main(int argc, char **argv)
{
    struct xf_err err = {0};
    struct front f;
    const char *victim;
    unsigned does = 0;

    if (front_parse(argc, argv, &f) == 0 && f.cmd) {
        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
            if (!strcmp(f.argv[f.cmd], commands[i].name))
                return commands[i].run(&f);
        victim = incomplete_victim(&f, &does);
        if (!f.globals.dry_run && incomplete_refuse(victim, does, &err)) {
            front_error(f.argv[f.cmd], &err);
            return 1;
        }
    }
    return real_xl_become(argv);
}
