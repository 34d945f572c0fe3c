/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The copies of the guest's disks that move with it, from DISKS until GO: each a mirror in the
 * guest's QEMU, a relay to the destination, and, if the copies are compared, a second channel.
 * Nothing of phases here. The thread that runs the move. Private to libxl-ext/source.
 */
#ifndef XF_DISKS_MOVING_H
#define XF_DISKS_MOVING_H

#include <stdbool.h>
#include <stdint.h>

#include "disks/mirror.h"
#include "disks/relay.h"
#include "disks/verify.h"
#include "libxl-ext/libxl_ext.h"

struct xf_disk_moving {
    int index;                   /* in the configuration's disks */
    struct xf_mirror_disk found; /* CHECK: as the QEMU has it */
    struct xf_disk_report *report;

    /* From the beginning of its copy; all 0 before. */
    bool begun;
    struct xf_relay *relay;
    struct xf_mirror mirror;
    struct xf_verify_image image;
    struct xf_verify verify; /* its channel is ours; NULL: the copies are not compared */

    /* As last looked at. */
    struct xf_mirror_look look;
    bool was_ready;
    uint64_t least;     /* smallest look.left since the first pass over it */
    double least_since; /* when that was reached, CLOCK_MONOTONIC; 0: the first pass goes on */
    bool told, slowed;  /* that it does not converge; and the guest's writes were limited */
    bool drained;       /* SWITCH: all is at the destination */
};

/* All zeros: no disks. */
struct xf_disks_moving {
    struct xf_disk_moving list[XF_MOVE_DISKS_MAX];
    unsigned nr;
    uint64_t bandwidth;   /* bytes/s, of all together; 0: no limit */
    bool throttle;        /* limit the guest's writes if they outrun a copy */
    bool all_ready;       /* as last looked at */
    double looked;        /* when that was, CLOCK_MONOTONIC; 0: never */
    double rate;          /* bytes/s that the copies have made lately, all together; 0: unknown */
    uint64_t copied;      /* sum of the offsets at `looked` */
    double pinged;        /* DISKS: when the destination last answered, CLOCK_MONOTONIC */
    double suspended;     /* SWITCH: when the guest was, CLOCK_MONOTONIC */
    struct xf_err failed; /* SWITCH: of a call that could not report it */
    void (*note)(void *priv, const char *sentence); /* for the operator; or NULL */
    void *priv;                                     /* of note */
};

/* How the guest's QEMU is reached. */
struct xf_mirror_at xf_disks_moving_at(uint32_t domid);

/*
 * Begin the copy of one: its image here is opened, `relayed` (a channel of xf_tcp_ops) is given to
 * a relay between the QEMU and the destination, `compared` (likewise, NULL: not compared) kept for
 * verifying. Both channels belong to x, also after -1.
 */
int xf_disk_moving_begin(struct xf_disks_moving *d, struct xf_disk_moving *x, uint32_t domid,
                         struct xf_chan *relayed, struct xf_chan *compared, struct xf_err *err);

/* Look at all that were begun, at most twice a second. -1: one has failed. */
int xf_disks_moving_look(struct xf_disks_moving *d, struct xf_err *err);

/* Seconds that the copies would need for what they still owe, at the rate of late. */
double xf_disks_moving_owed_s(const struct xf_disks_moving *d);
void xf_disks_moving_progress(const struct xf_disks_moving *d, struct xf_disks_progress *out);

/* Compare one; READY. */
int xf_disk_moving_verify(struct xf_disk_moving *x, struct xf_tick tick, struct xf_err *err);

/* SWITCH, the guest suspended: begin to end all. An error is kept for the next call. Fast. */
void xf_disks_moving_drain(struct xf_disks_moving *d);
/* ... and wait, timeout_ms at most, until every byte is at the destination. May be called again. */
int xf_disks_moving_drained(struct xf_disks_moving *d, int timeout_ms, struct xf_err *err);
/* ... and compare what the guest kept writing to. The destination has all of it on its disks. */
int xf_disks_moving_verify_hot(struct xf_disks_moving *d, struct xf_err *err);

/* End all: close relays and channels, and cancel the copies that are not drained. The guest keeps
 * its own disks, which have every write. note: says what could not be removed. Idempotent. */
void xf_disks_moving_end(struct xf_disks_moving *d);

#endif
