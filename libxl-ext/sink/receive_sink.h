/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sink process of a receiving move: see receive.c for the processes involved. */
#ifndef XF_RECEIVE_SINK_H
#define XF_RECEIVE_SINK_H

#include <sys/types.h>

#include "disks/store.h"
#include "libxl-ext/sink/builder.h"
#include "libxl-ext/sink/incoming.h"
#include "libxl-ext/libxl_ext.h"

/* Memory shared by guard and sink. Written by the sink only. */
struct xf_sink_shared {
    volatile bool committed; /* GO has arrived: the guest must no longer be destroyed */
    volatile bool said;      /* the sink ended on its own; err says how */
    volatile bool heard;     /* the source's hello has been read, as far as possible */
    volatile pid_t xl;       /* the stock xl, 0: none */
    struct xf_incoming copy; /* the copy being built here; without a name until that is known */
    struct xf_err err;
    struct xf_made disks[XF_MOVE_DISKS_MAX]; /* made here for disks that move, too */
};

/* Runs the whole receiving side. Returns the exit status. guard_fd: for xf_guard_tell(). */
int xf_sink_main(const struct xf_receive_opts *o, struct xf_builder_fds *fds, pid_t guard,
                 struct xf_sink_shared *shared, int guard_fd);

/*
 * Sent once by the sink to the guard: the source has its reply, so the guard need not reply for a
 * sink that died; and these locks (two descriptors, -1: none), which the guard then holds as well,
 * so that they are not released before it has cleaned up.
 */
void xf_guard_tell(int guard_fd, const int locks[2]);
/* The guard waits for that message. True: the source has its reply, and the guard also holds the
 * locks until it ends. False: the sink ended first. */
bool xf_sink_hear(int fd);

#endif
