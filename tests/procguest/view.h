/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A view of a process guest's memory, the same at both ends: all of it is mapped already. (The sink
 * writes whole pages elsewhere: fill.h.)
 */
#ifndef XF_PG_VIEW_H
#define XF_PG_VIEW_H

#include "pages/vm.h"
#include "tests/procguest/guest.h"

struct xf_view {
    struct pg_guest *g;
    void *owner;                /* struct pg_source or pg_sink */
    struct pg_filling *filling; /* the sink's; NULL: not needed yet */
};

int pg_view_open(struct pg_guest *g, void *owner, struct xf_view **out, struct xf_err *err);
void pg_view_close(struct xf_view *v);
/* As `map` in pages/vm.h; err[i] is set where the guest has no page. */
void pg_view_map(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_map *m);
void pg_view_unmap(struct xf_view *v, struct xf_map *m);

#endif
