/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking a guest to suspend through libxl without depending on libxl's timeout: libxl waits a
 * minute for an answer even of a crashed guest (libxl_dom_suspend.c).
 */
#ifndef XF_XEN_SUSPEND_H
#define XF_XEN_SUSPEND_H

#include "libxl-ext/xen/xen_source.h"

/*
 * With x->keep_paused the guest is paused. If a vCPU of it has to run for the suspend, it is
 * unpaused for that, and paused again if it does not suspend.
 *
 * xf_source_ops.suspend: ask, wait, and verify with Xen. Returns within a tenth of a second when
 * the guest has ended (ESRCH) or somebody else has stopped it (EBUSY); after libxl's minute when
 * the guest does not answer (ETIMEDOUT). After a failure x->may_stop says whether the guest
 * accepted the request and may still suspend.
 */
int xf_xen_suspend(struct xf_source_vm *vm, struct xf_err *err);

/* Where libxl is to write its stream. */
struct xf_xen_into {
    int fd;
    bool live;                     /* rounds of memory before the suspend */
    int leash;                     /* a pipe: give up when its other end is closed */
    volatile double *suspended_at; /* set when the guest is seen suspended, CLOCK_MONOTONIC, s */
};

/*
 * The same, but libxl saves the domain into a stream (libxl_domain_suspend()). 0: the stream is
 * complete and the guest is suspended. After -1 it may be suspended, too. Uses x's ctx, log, xch,
 * domid, kind and keep_paused.
 */
int xf_xen_suspend_into(struct xf_xen_source *x, const struct xf_xen_into *into,
                        struct xf_err *err);

/*
 * The same without libxl, for a caller who stops what belongs to the guest outside its vCPUs:
 * libxl would open a connection of its own to the device model, after the guest has suspended, and
 * have it save its state in a way that keeps its images locked. An HVM guest without PV drivers is
 * suspended by Xen.
 */
int xf_xen_suspend_guest(struct xf_source_vm *vm, struct xf_err *err);

/*
 * The move was called off. If the guest may still suspend (x->may_stop), wait for that, at most
 * wait_ms or until *cancel (may be NULL) grows; clears x->may_stop when it has suspended or ended.
 * Returns its state then.
 */
enum xf_here xf_xen_await_stop(struct xf_xen_source *x, int wait_ms,
                               const volatile sig_atomic_t *cancel);

#endif
