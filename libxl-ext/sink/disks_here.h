/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The disks that move here with a guest: for each the image or volume made for it, a qemu-nbd that
 * writes to it, the relay to that from its first disk channel, and a thread that answers on its
 * second one, if the copies are compared. Private to libxl-ext/sink; the sink's main thread.
 */
#ifndef XF_DISKS_HERE_H
#define XF_DISKS_HERE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "disks/relay.h"
#include "disks/serve.h"
#include "disks/store.h"
#include "disks/verify.h"
#include "libxl-ext/peer/bootstrap.h"
#include "transport/gather.h"

struct xf_disk_here {
    char vdev[XF_VDEV];
    const struct xf_made *made; /* the caller's */
    int fd;                     /* of it; -1: none */
    struct xf_serve serve;
    int sock;               /* to serve, until the relay has it; -1: it has, or none */
    struct xf_relay *relay; /* NULL: not connected yet */
    bool complete;          /* serve has ended well */
    struct xf_verify_image image;
    struct xf_chan *chan; /* for verifying; NULL: not connected yet */
    pthread_t thread;     /* that answers on it */
    bool runs;            /* thread is to be joined */
    atomic_bool failed;   /* set by it when all else is; then why is set, too */
    struct xf_err why;
};

/* All zeros: no disks. */
struct xf_disks_here {
    struct xf_disk_here list[XF_MOVE_DISKS_MAX];
    unsigned nr;
    bool verify;
};

/* Make the hello's disks and start what writes to them. made[] stays the caller's and says at any
 * moment what exists, also after -1. */
int xf_disks_here_make(struct xf_disks_here *d, const struct xf_stores *allowed,
                       const struct xf_hello *hello, struct xf_made made[XF_MOVE_DISKS_MAX],
                       struct xf_err *err);
/* Join them to the disk channels that have been connected since. *all: none is missing any more. */
int xf_disks_here_join(struct xf_disks_here *d, struct xf_gather *g, bool *all, struct xf_err *err);
/* -1: one of them cannot be completed any more. Fast; for ticks. */
int xf_disks_here_look(struct xf_disks_here *d, struct xf_err *err);
/* The source has drained them: wait, timeout_ms at most, until each is written, and would survive a
 * crash of this host. */
int xf_disks_here_complete(struct xf_disks_here *d, int timeout_ms, struct xf_tick tick,
                           struct xf_err *err);
/* End all that serves them; what was made stays. */
void xf_disks_here_end(struct xf_disks_here *d);

#endif
