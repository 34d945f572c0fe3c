/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The values of --with-disks and --disk. */
#ifndef XF_DISK_OPTION_H
#define XF_DISK_OPTION_H

#include "libxl-ext/libxl_ext.h"

/* --with-disks: all disks (value NULL), or those that it names. Add to o. */
int disk_option_with(const char *value, struct xf_move_opts *o, struct xf_err *err);
/* --disk VDEV=TARGET. */
int disk_option_one(const char *value, struct xf_move_opts *o, struct xf_err *err);

#endif
