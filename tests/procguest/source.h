/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process guest as the engine sees it at the source (struct xf_source_ops). Its dirty log
 * is userfaultfd's asynchronous write protection, read by PAGEMAP_SCAN, or synchronous where the
 * kernel has no other (dirtylog.h).
 *
 * Opened and used in the engine's process, which is not the guest's.
 */
#ifndef XF_PG_SOURCE_H
#define XF_PG_SOURCE_H

#include "pages/vm.h"
#include "tests/procguest/guest.h"

#define PG_STATE_BYTES 512u /* the vCPUs, padded */

struct pg_source {
    struct xf_source_vm vm;
    struct pg_guest *g;
    int uffd, pagemap;
    bool logging;
    _Atomic uint32_t runs; /* as in guest.h, when first checked; UINT32_MAX before */
};

int pg_source_open(struct pg_source *s, struct pg_guest *g, uint64_t *rings, unsigned nr_rings,
                   struct xf_err *err);
void pg_source_close(struct pg_source *s);

#endif
