/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What both sides of PULL say of how it ended. */
#ifndef XF_PULL_H
#define XF_PULL_H

enum xf_pull_end {
    XF_PULL_DONE,   /* every page is at the sink, and both sides know it */
    XF_PULL_LOST,   /* the link is gone; nothing else is: a new one can be attached */
    XF_PULL_ENDED,  /* the guest is gone: nobody needs its pages any more */
    XF_PULL_FAILED, /* this side cannot go on */
    XF_PULL_GONE, /* source: nobody listens at the sink any more; how the guest fares is unknown */
    XF_PULL_GOES_ON, /* it has not ended: within server.c and pager.c, which never return it */
};

#endif
