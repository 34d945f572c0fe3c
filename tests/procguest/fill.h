/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing whole pages of a process guest from another process. A page that does not exist yet is
 * created and filled in one step by UFFDIO_COPY, which takes half of the time of a first touch: it
 * does not clear memory that is overwritten at once, and nothing faults. That needs a mapping of
 * its own, in which touching a page that does not exist yet would wait for ever.
 */
#ifndef XF_PG_FILL_H
#define XF_PG_FILL_H

#include "pages/vm.h"
#include "tests/procguest/guest.h"

struct pg_fill {
    struct pg_guest *g;
    int uffd;
    uint8_t *mem; /* all of the guest's memory, in this process */
};
int pg_fill_open(struct pg_fill *f, struct pg_guest *g, struct xf_err *err);
void pg_fill_close(struct pg_fill *f); /* also of one that is all zero bytes, or did not open */

/* Pages that one thread is about to write. */
struct pg_filling {
    uint64_t gfns[XF_BATCH_PAGES];
    uint8_t pages[XF_BATCH_PAGES * XF_PAGE_SIZE];
};
/* Set m to the places to write the n pages to, the first of them at filling->pages. */
void pg_fill_begin(struct pg_filling *filling, const uint64_t *gfns, unsigned n, struct xf_map *m);
/* Give the first n pages to the guest. Ends the process with a message when the kernel refuses. */
void pg_fill_end(const struct pg_fill *f, const struct pg_filling *filling, unsigned n);

/* How many of gfns[i..n) are consecutive. */
unsigned pg_run_length(const uint64_t *gfns, unsigned i, unsigned n);

#endif
