/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pages that a Xen guest needs in place when it resumes (the `eager` op, pages/vm.h). */
#ifndef XF_XEN_EAGER_H
#define XF_XEN_EAGER_H

#include "pages/vm.h"

/* The per-CPU areas of a Linux kernel, found by each vCPU's GS base. For a guest without them, or
 * with another kernel, nothing is added. */
int xf_xen_eager(struct xf_source_vm *vm, unsigned long *bitmap, struct xf_err *err);

#endif
