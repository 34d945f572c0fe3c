/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a guest's pages move: before it runs at the destination or after; compressed or not. */
#ifndef XF_MODE_H
#define XF_MODE_H

enum xf_mode {
    XF_MODE_PRECOPY,  /* every page before GO */
    XF_MODE_HYBRID,   /* COPY; if it ends with more than max_downtime allows, the rest after GO */
    XF_MODE_POSTCOPY, /* no COPY: nearly everything after GO */
};

enum xf_compress {
    XF_COMPRESS_AUTO, /* where it makes the move faster, as far as the destination can */
    XF_COMPRESS_OFF,
    XF_COMPRESS_LZ4, /* always, if the destination can */
    XF_COMPRESS_ZSTD,
};

#endif
