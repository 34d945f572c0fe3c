/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Views of a process guest's memory: see view.h. */
#include "tests/procguest/view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE XF_PAGE_SIZE

unsigned pg_run_length(const uint64_t *gfns, unsigned i, unsigned n)
{
    unsigned len = 1;

    while (i + len < n && gfns[i + len] == gfns[i] + len)
        len++;
    return len;
}

int pg_view_open(struct pg_guest *g, void *owner, struct xf_view **out, struct xf_err *err)
{
    struct xf_view *v = calloc(1, sizeof(*v));

    if (!v)
        return xf_fail(err, ENOMEM, "out of memory");
    v->g = g;
    v->owner = owner;
    v->window = mmap(NULL, XF_BATCH_PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (v->window == MAP_FAILED) {
        free(v);
        return xf_fail(err, errno, "no address space for a view");
    }
    *out = v;
    return 0;
}

void pg_view_close(struct xf_view *v)
{
    munmap(v->window, XF_BATCH_PAGES * PAGE);
    free(v);
}

int pg_view_map(struct xf_view *v, const uint64_t *gfns, unsigned n, struct xf_map *m, int prot,
                struct xf_err *err)
{
    bool all = true;

    m->n = n;
    for (unsigned i = 0; i < n; i++) {
        m->err[i] = v->g->has[gfns[i]] ? 0 : ENOENT;
        all &= !m->err[i];
    }
    if (all && pg_run_length(gfns, 0, n) == n) {
        m->base = v->g->mem + gfns[0] * PAGE;
        return 0;
    }
    m->base = v->window;
    for (unsigned i = 0, len; i < n; i += len) {
        len = pg_run_length(gfns, i, n);
        for (unsigned k = 0; k < len; k++)
            if (m->err[i + k])
                len = k ? k : 1;
        if (!m->err[i] && mmap(v->window + (size_t)i * PAGE, (size_t)len * PAGE, prot,
                               MAP_SHARED | MAP_FIXED | MAP_POPULATE, v->g->memfd,
                               (off_t)(gfns[i] * PAGE)) == MAP_FAILED)
            return xf_fail(err, errno, "cannot map %u pages: %s", len, strerror(errno));
    }
    return 0;
}

void pg_view_unmap(struct xf_view *v, struct xf_map *m)
{
    /* Whoever keeps a pointer into the window dies of it. */
    if (m->base == v->window && mmap(v->window, XF_BATCH_PAGES * PAGE, PROT_NONE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        abort();
    m->base = NULL;
}
