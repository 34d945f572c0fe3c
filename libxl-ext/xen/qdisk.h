/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Disks that QEMU serves lie in dom0's page cache at both ends of a move: see qdisk.c. Private to
 * libxl-ext. All calls belong to one thread; flushing has one of its own in between.
 */
#ifndef XF_QDISK_H
#define XF_QDISK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "transport/err.h"
#include "transport/lock.h"

#define XF_QDISKS_MAX 64

struct xf_qdisk {
    int fd; /* of the image, for reading */
    char path[512];
};

XF_LOCK_ROLE(xf_qdisks_lock);

struct xf_qdisks {
    uint32_t domid;
    struct xf_qdisk disk[XF_QDISKS_MAX];
    char devid[XF_QDISKS_MAX][24]; /* as xenstore calls it */
    unsigned nr;

    pthread_t thread;
    bool runs; /* thread is to be joined */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool last XF_GUARDED(xf_qdisks_lock);         /* the guest is suspended */
    bool done XF_GUARDED(xf_qdisks_lock);         /* ... and all of it is on the disk */
    struct xf_err why XF_GUARDED(xf_qdisks_lock); /* what went wrong, first */
    double last_s XF_GUARDED(xf_qdisks_lock); /* what the last flush took, the guest suspended */
};

/* Open the images of all disks of domid that a QEMU serves here, as xenstore has them. -1: one
 * cannot be, or is served in another domain; nothing is open then. */
int xf_qdisks_open(struct xf_qdisks *q, uint32_t domid, struct xf_err *err);
/* Waits for a flush that is under way. Does nothing with one that was never opened (all zeros). */
void xf_qdisks_close(struct xf_qdisks *q);

/* Source, COPY: write back what the guest has written, again and again, so that little is left for
 * SWITCH. Does nothing without such disks. */
int xf_qdisks_flush_begin(struct xf_qdisks *q, struct xf_err *err);
/* The guest is suspended: when QEMU has answered all its requests, once more. Returns before that
 * is done. */
void xf_qdisks_flush_last(struct xf_qdisks *q);
/* Before GO: waits until all is on the disks, timeout_ms at most. -1: it is not, or was lost. */
int xf_qdisks_flush_end(struct xf_qdisks *q, int timeout_ms, struct xf_err *err);

/* What the last flush took, seconds; of use when flush_end has succeeded. */
double xf_qdisks_last_s(struct xf_qdisks *q);

/* Destination, before GO: forget what this host has read of the images. -1: some stays. */
int xf_qdisks_drop(struct xf_qdisks *q, struct xf_err *err);

#endif
