/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest of a few pages at either side, for the fuzzer: it costs nothing to make, and it ends the
 * program at the first call that the contract of pages/vm.h forbids, whatever the peer said.
 */
#ifndef XF_FUZZ_TINY_VM_H
#define XF_FUZZ_TINY_VM_H

#include <pthread.h>
#include <stdbool.h>

#include "pages/absent.h"
#include "pages/vm.h"

#define TINY_GFNS 200u
#define TINY_HOLE 96u /* [HOLE, HOLE + 8): never any memory at the source */
#define TINY_RING 190u
#define TINY_BUILT 188u /* before the rings: exists at the sink, and is the source's to send */

struct tiny {
    pthread_mutex_t lock;
    uint8_t mem[TINY_GFNS][XF_PAGE_SIZE];
    bool has[TINY_GFNS];    /* there is memory */
    bool absent[TINY_GFNS]; /* sink: marked, and not put in yet */
    bool log_on, running, loaded, ran, gone;
    unsigned views, suspends, resumes, targets;
    uint64_t rings[2], built[3];
    uint64_t nr_absent;
    unsigned faults; /* of absent pages that were reported */
    int fault_fd;
    /* The source may not let its guest run any more: GO was sent. */
    bool given_away;
    struct xf_source_vm src;
    struct xf_sink_vm dst;
    struct xf_absent missing;
};

/* A source's guest, running; a sink's, empty but for what is built, able to have absent pages. */
void tiny_source(struct tiny *t);
void tiny_sink(struct tiny *t);
/* Everything that was taken has been given back. */
void tiny_end(struct tiny *t);

#endif
