/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The device model (QEMU) of the copy, started while the guest still runs at the source.
 *
 * libxl gives a restored domain's QEMU its state as a file, qemu-resume.DOMID, opened right before
 * QEMU starts (libxl__build_device_model_args_new(), tools/libs/light/libxl_dm.c). Here that file
 * is a FIFO: QEMU builds the machine, finds nothing to read, and waits in its run state
 * "inmigrate", in which it touches no guest memory, locks no image and answers its monitor. The
 * devices' state is written into the FIFO in SWITCH. libxl in turn waits for QEMU to report in
 * xenstore that it runs, which it does only with its state: so that report is written here, once
 * the machine is built.
 *
 * In the order of the calls. All belong to the one thread that runs the move.
 */
#ifndef XF_DEVICE_MODEL_H
#define XF_DEVICE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libxl-ext/xen/qmp_commands.h"

#define XF_XEN_LIB_DIR "/var/lib/xen" /* where libxl looks for it, built into it */

struct xf_device_model {
    uint32_t domid;               /* 0: not begun */
    struct xf_qmp_version source; /* of the QEMU whose state it will get */
    char file[128];               /* the FIFO */
    char log[192];   /* what QEMU writes its messages to; the caller sets it, empty: unknown */
    int fifo;        /* both ends; -1: closed */
    int process;     /* a pidfd of QEMU; -1: not known yet */
    bool waits;      /* the machine is built */
    int64_t asked;   /* when it was last asked whether it is, xf_now_ms() */
    int patience_ms; /* for the next answer to that */
    struct xf_qmp monitor; /* closed except for a step, and from connect() to the end of load() */
};
#define XF_DEVICE_MODEL_NONE                                                                       \
    {                                                                                              \
        .fifo = -1, .process = -1, .monitor = XF_QMP_CLOSED                                        \
    }

/* SKELETON: domid exists, and libxl has not started its QEMU: make the FIFO, in dir (XF_XEN_LIB_DIR
 * except in tests). source: the version of the QEMU whose state it will get, "7.2.22". */
int xf_device_model_begin(struct xf_device_model *dm, const char *dir, uint32_t domid,
                          const char *source, struct xf_err *err);
/* Until libxl reports the domain built: ask QEMU, at most some times a second, whether its machine
 * is built, and tell libxl. Does nothing from then on. EPROTONOSUPPORT: it is older than the
 * source's, and could not read its state. */
int xf_device_model_step(struct xf_device_model *dm, struct xf_err *err);
/* Until GO: -1 (ESRCH) if QEMU has ended. Cheap. */
int xf_device_model_lives(const struct xf_device_model *dm, struct xf_err *err);
/* SWITCH is near: connect to its monitor, for which another tool may have to be waited for. */
int xf_device_model_connect(struct xf_device_model *dm, struct xf_err *err);
/* SWITCH: give it the devices' state, and wait until it runs with it. Its images are open for
 * writing and locked then. If it refuses the state, the error has its own words. */
int xf_device_model_load(struct xf_device_model *dm, const void *state, size_t len,
                         struct xf_err *err);
/* Closes what is open here; QEMU ends with its domain. */
void xf_device_model_end(struct xf_device_model *dm);
/* For another process than the one that began: remove a FIFO that it left, since whoever opens that
 * later would wait for ever. dir as in xf_device_model_begin(). */
void xf_device_model_forget(const char *dir, uint32_t domid);

#endif
