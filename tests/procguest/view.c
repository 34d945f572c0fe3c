/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Views of a process guest's memory: see view.h. */
#include "tests/procguest/view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE XF_PAGE_SIZE

int pg_view_open(struct pg_guest *g, void *owner, struct xf_view **out, struct xf_err *err)
{
    struct xf_view *v = calloc(1, sizeof(*v));

    if (!v)
        return xf_fail(err, ENOMEM, "out of memory");
    v->g = g;
    v->owner = owner;
    *out = v;
    return 0;
}

void pg_view_close(struct xf_view *v)
{
    free(v);
}

void pg_view_map(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_map *m)
{
    m->n = n;
    m->base = v->g->mem;
    for (unsigned i = 0; i < n; i++) {
        m->err[i] = v->g->has[gfns[i]] ? 0 : ENOENT;
        m->page[i] = v->g->mem + gfns[i] * PAGE;
    }
}

void pg_view_unmap(struct xf_view *v, struct xf_map *m)
{
    (void)v;
    memset(m->page, 0, m->n * sizeof(m->page[0])); /* any further use of them crashes */
    m->base = NULL;
}
