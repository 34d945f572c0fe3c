/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A mirror: one disk of a running guest is copied to an image elsewhere, by the QEMU that serves
 * the disk, while the guest writes. It is a job of that QEMU; here it is started, looked at, ended.
 *
 *     find -> start -> look ... READY -> finish_begin, finished     the guest, suspended, moves
 *                                     -> pivot                      same host: goes on with the
 * copy any time after start       -> cancel                     goes on with its own disk
 *
 * The settings are chosen so that the guest never waits for the copy and never sees its errors
 * (why: docs/design.md, "Mirrors of disks"). All that a mirror is, is in QEMU: if this process dies
 * nothing is lost but the copy, the job ends with the relay (relay.h), and xf_mirror_clear() of the
 * next attempt removes what is left.
 *
 * Every call makes a connection to the monitor of its own and closes it before it returns. It is
 * the monitor that xf_qmp_path() names: libxl has another, so its lock is not needed.
 *
 * Errors: as in qmp/qmp.h, and those named below. QEMU's answers are not trusted. One thread at a
 * time for one disk; whoever calls must be the only one that moves this guest (moves/slot.h).
 */
#ifndef XF_MIRROR_H
#define XF_MIRROR_H

#include <stdbool.h>
#include <stdint.h>

#include "qmp/qmp.h"
#include "transport/tick.h"

#define XF_MIRROR_VDEV 16u  /* size of a disk's name: "xvda" */
#define XF_MIRROR_NODE 32u  /* size of a name of QEMU's */
#define XF_MIRROR_QDEV 256u /* size of a device's path in QEMU */
#define XF_MIRROR_FILE 1024u
#define XF_MIRROR_WHY 200u

/* Where the QEMU is. */
struct xf_mirror_at {
    char monitor[XF_QMP_PATH];
    uint32_t domid;
    int limit_ms;        /* for one answer; and for what QEMU must do before a call returns */
    struct xf_tick tick; /* while waiting. Must not call anything here */
};

/* A disk as QEMU has it. */
struct xf_mirror_disk {
    char vdev[XF_MIRROR_VDEV];
    char qdev[XF_MIRROR_QDEV]; /* the device */
    char node[XF_MIRROR_NODE]; /* what the device reads and writes at present */
    char file[XF_MIRROR_FILE]; /* as QEMU shows it: clean, for people and for comparing */
    uint64_t size;             /* bytes */
    bool raw;                  /* no format: what can be moved */
    bool read_only;
};

/* Where the copy goes: to an NBD server on a Unix socket, or to a file or block device of this
 * host, which exists and is as large as the disk (a device: at least). */
struct xf_mirror_target {
    const char *socket; /* NULL: local */
    const char *export; /* its name at the server */
    const char *file;
    bool device; /* file is a block device */
};

struct xf_mirror {
    struct xf_mirror_at at;
    struct xf_mirror_disk disk;
    char target[XF_MIRROR_NODE]; /* the node of the copy; "": there is none */
    bool local;
    bool ending;    /* finish_begin() has succeeded */
    bool throttled; /* the guest's writes are limited */
    bool pivoted;   /* the guest uses the copy, even if pivot() fails after that */
};

enum xf_mirror_state {
    XF_MIRROR_COPIES,
    XF_MIRROR_READY,  /* the copy has had everything once, and follows */
    XF_MIRROR_ENDS,   /* after finish_begin(): the rest is copied and flushed */
    XF_MIRROR_DONE,   /* ... and is at the target: the two are equal */
    XF_MIRROR_FAILED, /* it has ended and the copy is worth nothing */
};

struct xf_mirror_look {
    enum xf_mirror_state state;
    uint64_t offset, len;    /* bytes copied, of; len grows as the guest writes */
    uint64_t left;           /* len - offset */
    char why[XF_MIRROR_WHY]; /* FAILED: QEMU's words, clean */
};

/*
 * The disk `vdev`. Also ENOENT: this QEMU serves no such disk (blkback does, or nobody); ENOMEDIUM:
 * a drive without a medium; EBUSY: a job of another program is at it, or a leftover (clear first).
 */
int xf_mirror_find(const struct xf_mirror_at *at, const char *vdev, struct xf_mirror_disk *out,
                   struct xf_err *err);

/*
 * Remove what a dead process of ours has left of a mirror of `vdev`: job, node, throttle. *found
 * (may be NULL): there was something. ETIMEDOUT: the job does not end.
 */
int xf_mirror_clear(const struct xf_mirror_at *at, const char *vdev, bool *found,
                    struct xf_err *err);

/*
 * Start. The whole path to the server must be open: QEMU stops handling anything but the guest's
 * disks until it has answered. So after ETIMEDOUT close the relay, then cancel. speed: bytes/s, 0:
 * no limit. After an error nothing is left, except after ETIMEDOUT and ECONNRESET: then cancel.
 * Also EFBIG: the target's size differs from the disk's.
 */
int xf_mirror_start(struct xf_mirror *m, const struct xf_mirror_at *at,
                    const struct xf_mirror_disk *disk, const struct xf_mirror_target *target,
                    uint64_t speed, struct xf_err *err);

/* How it is. A job that has failed is not an error of this call. */
int xf_mirror_look(const struct xf_mirror *m, struct xf_mirror_look *out, struct xf_err *err);

/* Limit the copying to this many bytes/s from now on; 0: no limit. */
int xf_mirror_speed(const struct xf_mirror *m, uint64_t bytes_per_s, struct xf_err *err);

/* Limit what the guest may write, bytes/s; 0: it may write as it likes, as before. A limit is to be
 * lifted before the mirror ends; cancel does so. */
int xf_mirror_throttle(struct xf_mirror *m, uint64_t bytes_per_s, struct xf_err *err);

/*
 * The guest is suspended: copy the rest and end. Returns at once. EBUSY: it is not READY, and goes
 * on as before; EIO: it has failed.
 */
int xf_mirror_finish_begin(struct xf_mirror *m, struct xf_err *err);
/*
 * Wait until that is done: 0: every byte is at the target and flushed, the job and the node are
 * gone, and QEMU has disconnected. XF_AGAIN after timeout_ms. EIO: it has failed; then cancel. */
int xf_mirror_finished(struct xf_mirror *m, int timeout_ms, struct xf_err *err);

/*
 * The guest, which runs, goes on with the copy; only for a local target and when READY (else
 * EBUSY). Returns when the old image is closed in QEMU. m->disk is the disk as it is now. EIO: it
 * has failed, and the guest still uses the old image (m->pivoted says whether): cancel.
 */
int xf_mirror_pivot(struct xf_mirror *m, struct xf_err *err);

/*
 * End it, whatever it does, and remove it; the guest's own disk has every write. Close the relay
 * before: a job whose bytes nobody takes cannot be ended otherwise. ETIMEDOUT: it has not ended.
 * Does nothing if nothing is left; may be called again. */
int xf_mirror_cancel(struct xf_mirror *m, struct xf_err *err);

#endif
