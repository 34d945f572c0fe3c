/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a move would take, for people; within 80 columns. */
#ifndef XF_OUTLOOK_H
#define XF_OUTLOOK_H

#include <stdio.h>

#include "libxl-ext/libxl_ext.h"

/* After `--check`; nothing if there is no forecast. */
void outlook_print(FILE *out, const struct xf_outlook *f);
/* A row of the report of a move: what was forecast early in it, and what happened. */
void outlook_beside(FILE *out, const struct xf_report *r);

#endif
