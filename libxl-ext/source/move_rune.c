/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How the receiver is started: see move_rune.h. */
#include "libxl-ext/source/move_rune.h"

#include <stdio.h>
#include <string.h>

char *xf_move_rune(const struct xf_move_opts *o)
{
    char *rune;

    if (o->ssh_command && !o->ssh_command[0])
        return strdup(o->host);
    if (asprintf(&rune, "exec %s %s xl%s migrate-receive%s",
                 o->ssh_command ? o->ssh_command : "ssh", o->host, o->xl_args ? o->xl_args : "",
                 o->receive_args ? o->receive_args : "") < 0)
        return NULL;
    return rune;
}
