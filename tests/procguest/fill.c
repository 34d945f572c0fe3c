/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing whole pages of a process guest: see fill.h. */
#include "tests/procguest/fill.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/procguest/uffd.h"

#define PAGE XF_PAGE_SIZE

int pg_fill_open(struct pg_fill *f, struct pg_guest *g, struct xf_err *err)
{
    size_t len = g->truth->nr_gfns * PAGE;
    void *mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, g->memfd, 0);

    *f = (struct pg_fill){.g = g, .uffd = -1, .mem = mem == MAP_FAILED ? NULL : mem};
    if (f->mem)
        f->uffd = uffd_open(UFFD_FILL);
    if (f->uffd < 0 || uffd_register(f->uffd, f->mem, len, true)) {
        xf_fail(err, errno, "cannot write the guest's memory: %s", strerror(errno));
        pg_fill_close(f);
        return -1;
    }
    return 0;
}

void pg_fill_close(struct pg_fill *f)
{
    if (!f->mem)
        return;
    if (f->uffd >= 0)
        close(f->uffd);
    munmap(f->mem, f->g->truth->nr_gfns * PAGE);
    f->mem = NULL;
}

void pg_fill_begin(struct pg_filling *filling, const uint64_t *gfns, unsigned n, struct xf_map *m)
{
    memcpy(filling->gfns, gfns, n * sizeof(*gfns));
    m->n = n;
    m->base = filling->pages;
    for (unsigned i = 0; i < n; i++) {
        m->err[i] = 0;
        m->page[i] = filling->pages + (size_t)i * PAGE;
    }
}

void pg_fill_end(const struct pg_fill *f, const struct pg_filling *filling, unsigned n)
{
    for (unsigned i = 0, len; i < n; i += len) {
        uint8_t *to = f->mem + filling->gfns[i] * PAGE;
        const uint8_t *from = filling->pages + (size_t)i * PAGE;
        size_t put;

        len = pg_run_length(filling->gfns, i, n);
        put = uffd_put(f->uffd, to, from, (size_t)len * PAGE);
        if (!put && errno == EEXIST && !pg_put(f->g, filling->gfns[i], from))
            put = PAGE;
        if (!put) {
            fprintf(stderr, "process guest: writing its memory: %s\n", strerror(errno));
            exit(2);
        }
        len = (unsigned)(put / PAGE);
    }
}

unsigned pg_run_length(const uint64_t *gfns, unsigned i, unsigned n)
{
    unsigned len = 1;

    while (i + len < n && gfns[i + len] == gfns[i] + len)
        len++;
    return len;
}
