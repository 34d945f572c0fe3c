/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process guest as the engine sees it at the sink (struct xf_sink_ops).
 *
 * Opened and used in the engine's process, which is not the guest's.
 */
#ifndef XF_PG_SINK_H
#define XF_PG_SINK_H

#include "precopy/vm.h"
#include "tests/procguest/guest.h"

struct pg_sink {
    struct xf_sink_vm vm;
    struct pg_guest *g;
    bool garbage; /* fresh memory is full of it, as Xen's may be */
    bool loaded;
};

void pg_sink_open(struct pg_sink *s, struct pg_guest *g);

#endif
