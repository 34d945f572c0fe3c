/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Applies lists of gfns to maps of all gfns: a guest's rings, which the destination makes anew and
 * which are never sent, and the pages built with the guest. A listed gfn outside the map is
 * ignored. Pure.
 */
#ifndef XF_RINGS_H
#define XF_RINGS_H

#include "pages/bitmap.h"
#include "pages/vm.h"

/* Set the bits of n gfns in a map of nr_gfns bits. */
static inline void xf_set_gfns(unsigned long *map, uint64_t nr_gfns, const uint64_t *gfns,
                               unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (gfns[i] < nr_gfns)
            xf_set(map, gfns[i]);
}

/* Remove the guest's rings from a map of pages to be sent or left out. */
static inline void xf_drop_rings(const struct xf_source_vm *vm, unsigned long *map)
{
    for (unsigned i = 0; i < vm->nr_rings; i++)
        if (vm->rings[i] < vm->nr_gfns)
            xf_unset(map, vm->rings[i]);
}

/* The same list at the sink: gfns no batch may touch. */
static inline void xf_mark_rings(const struct xf_sink_vm *vm, unsigned long *map)
{
    xf_set_gfns(map, vm->nr_gfns, vm->rings, vm->nr_rings);
}

/* Gfns that exist before the first batch. */
static inline void xf_mark_built(const struct xf_sink_vm *vm, unsigned long *map)
{
    xf_set_gfns(map, vm->nr_gfns, vm->built, vm->nr_built);
}

#endif
