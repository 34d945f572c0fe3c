/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The names of a move's phases, as people and programs read them. */
#include "libxl-ext/libxl_ext.h"

const char *xf_phase_name(enum xf_phase p)
{
    static const char *const names[XF_PHASES] = {"CHECK",  "DISKS", "SKELETON", "COPY",
                                                 "SWITCH", "PULL",  "FINISH"};

    return p < XF_PHASES ? names[p] : "?";
}
