/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How PULL ended, for both sides. */
#ifndef XF_PULL_H
#define XF_PULL_H

enum xf_pull_end {
    XF_PULL_DONE,    /* every page is at the sink, and both sides know it */
    XF_PULL_LOST,    /* only the link is gone: a new one can be attached */
    XF_PULL_ENDED,   /* the guest is gone: its pages are no longer needed */
    XF_PULL_FAILED,  /* this side cannot go on */
    XF_PULL_GONE,    /* source: the sink no longer listens; the state of the guest is unknown */
    XF_PULL_GOES_ON, /* it has not ended; used within server.c and pager.c, never returned */
};

#endif
