/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking a guest to suspend, by libxl, without depending on libxl's patience: it waits a minute
 * for an answer also of a guest that has crashed (libxl_dom_suspend.c).
 */
#ifndef XF_XEN_SUSPEND_H
#define XF_XEN_SUSPEND_H

#include "libxl-ext/xen/xen_source.h"

/*
 * xf_source_ops.suspend: ask, wait, and ask Xen whether it is true. Ends within a tenth of a second
 * when the guest has ended (ESRCH) or somebody else has stopped it (EBUSY); when the guest does not
 * answer it is libxl's minute (ETIMEDOUT). After a failure x->may_stop says whether the guest has
 * taken the request and may still suspend.
 */
int xf_xen_suspend(struct xf_source_vm *vm, struct xf_err *err);

/*
 * The move is off. If the guest may still suspend (x->may_stop), wait for that at most wait_ms, or
 * until *cancel (may be NULL) grows; clears x->may_stop when it has suspended or ended. What it
 * does then.
 */
enum xf_here xf_xen_await_stop(struct xf_xen_source *x, int wait_ms,
                               const volatile sig_atomic_t *cancel);

#endif
