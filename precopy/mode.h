/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When a guest's pages move: before it runs at the destination, or after. */
#ifndef XF_MODE_H
#define XF_MODE_H

enum xf_mode {
    XF_MODE_PRECOPY,  /* every page before GO */
    XF_MODE_HYBRID,   /* COPY; if it ends with more than max_downtime allows, the rest after GO */
    XF_MODE_POSTCOPY, /* no COPY: nearly everything after GO */
};

#endif
