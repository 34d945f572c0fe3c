/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libxl's own stream of a domain ("save"), read through a descriptor. libxl forks, waits for a
 * minute or two and blocks while it writes, so a child process that does nothing else calls it.
 *
 * The one thread that runs the move.
 */
#ifndef XF_XEN_STREAM_H
#define XF_XEN_STREAM_H

#include <stdbool.h>
#include <sys/types.h>

#include "libxl-ext/xen/xen_source.h"

struct xf_xen_stream_said; /* private */

struct xf_xen_stream {
    int fd;      /* the stream arrives here until the end of file; not blocking. -1: none */
    int leash;   /* the child gives up when this is closed, also by our death */
    pid_t child; /* 0: none */
    struct xf_xen_stream_said *said; /* shared with the child */
};
#define XF_XEN_STREAM_NONE                                                                         \
    {                                                                                              \
        .fd = -1, .leash = -1                                                                      \
    }

/* Begin to save x's domain, which suspends it: at once or, if `live`, after rounds of its memory
 * (LIBXL_SUSPEND_LIVE). After -1 nothing has begun. */
int xf_xen_stream_begin(struct xf_xen_stream *s, struct xf_xen_source *x, bool live,
                        struct xf_err *err);

/* When the guest was suspended, CLOCK_MONOTONIC, seconds; 0: not seen yet. */
double xf_xen_stream_suspended_at(const struct xf_xen_stream *s);

/*
 * End it: wait for the child, which gives up unless it has finished. 0: the stream is complete and
 * the guest is suspended. -1: it is not; x->asked and x->may_stop are as after a failed suspend
 * (xen_suspend.h), and a guest that is suspended now is the caller's to resume. Does nothing if
 * nothing has begun, or a second time (-1).
 */
int xf_xen_stream_end(struct xf_xen_stream *s, struct xf_xen_source *x, struct xf_err *err);

#endif
