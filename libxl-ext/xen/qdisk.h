/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Disks that QEMU serves lie in dom0's page cache at both ends of a move: see qdisk.c. Private to
 * libxl-ext. All calls belong to one thread; flushing in between has its own.
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
    char devid[XF_QDISKS_MAX][24]; /* as in xenstore */
    unsigned nr;

    pthread_t thread;
    bool runs; /* thread is to be joined */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool last XF_GUARDED(xf_qdisks_lock);         /* the guest is suspended */
    bool done XF_GUARDED(xf_qdisks_lock);         /* ... and all its writes are on the disk */
    struct xf_err why XF_GUARDED(xf_qdisks_lock); /* the first error */
    double last_s XF_GUARDED(xf_qdisks_lock);     /* duration of the last flush, with the guest
                                                   * suspended */
};

/* Open the images of all disks of domid that a QEMU serves here, according to xenstore. -1: one
 * cannot be opened, or is served in another domain; then none is open. */
int xf_qdisks_open(struct xf_qdisks *q, uint32_t domid, struct xf_err *err);
/* Leave out the image of a disk that moves itself. Before anything is flushed. */
void xf_qdisks_leave_out(struct xf_qdisks *q, const char *path);
/* Waits for a flush in progress. Does nothing if q was never opened (all zeros). */
void xf_qdisks_close(struct xf_qdisks *q);

/* Source, COPY: repeatedly write back the guest's writes, so that little is left for SWITCH. Does
 * nothing without such disks. */
int xf_qdisks_flush_begin(struct xf_qdisks *q, struct xf_err *err);
/* The guest is suspended: write back a last time once QEMU has answered all its requests. Returns
 * before that is done. */
void xf_qdisks_flush_last(struct xf_qdisks *q);
/* Before GO: wait, timeout_ms at most, until everything is on the disks. -1: it is not, or data was
 * lost. */
int xf_qdisks_flush_end(struct xf_qdisks *q, int timeout_ms, struct xf_err *err);

/* Duration of the last flush, seconds; valid when flush_end has succeeded. */
double xf_qdisks_last_s(struct xf_qdisks *q);

/* Destination, before GO: drop this host's cached pages of the images. -1: some remain. */
int xf_qdisks_drop(struct xf_qdisks *q, struct xf_err *err);

#endif
