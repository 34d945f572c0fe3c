/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking a guest to suspend through libxl without depending on libxl's timeout: libxl waits a
 * minute for an answer even of a crashed guest (libxl_dom_suspend.c).
 */
#ifndef XF_XEN_SUSPEND_H
#define XF_XEN_SUSPEND_H

#include "libxl-ext/xen/xen_source.h"

/*
 * xf_source_ops.suspend: ask, wait, and verify with Xen. Returns within a tenth of a second when
 * the guest has ended (ESRCH) or somebody else has stopped it (EBUSY); after libxl's minute when
 * the guest does not answer (ETIMEDOUT). After a failure x->may_stop says whether the guest
 * accepted the request and may still suspend.
 */
int xf_xen_suspend(struct xf_source_vm *vm, struct xf_err *err);

/*
 * The same without libxl, for a caller who stops what belongs to the guest outside its vCPUs:
 * libxl would open a connection of its own to the device model, after the guest has suspended, and
 * have it save its state in a way that keeps its images locked. pv_drivers: the guest suspends
 * itself; else Xen suspends it.
 */
int xf_xen_suspend_guest(struct xf_source_vm *vm, bool pv_drivers, struct xf_err *err);

/*
 * The move was called off. If the guest may still suspend (x->may_stop), wait for that, at most
 * wait_ms or until *cancel (may be NULL) grows; clears x->may_stop when it has suspended or ended.
 * Returns its state then.
 */
enum xf_here xf_xen_await_stop(struct xf_xen_source *x, int wait_ms,
                               const volatile sig_atomic_t *cancel);

#endif
