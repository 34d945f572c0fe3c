/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The destination's side of COPY and SWITCH: receiver threads put pages into the guest's
 * memory (receiver.c), the control loop loads its state and lets it run (sink.c).
 */
#ifndef XF_SINK_H
#define XF_SINK_H

#include "pages/vm.h"
#include "transport/link.h"

enum xf_sink_end {
    XF_SINK_RUNS,    /* GO arrived: the guest is here (stopped, if err is set) */
    XF_SINK_ABORTED, /* the source gave up in good order: destroy the copy */
    XF_SINK_FAILED,  /* anything else before GO: destroy the copy */
};

struct xf_sink_watch {
    void *priv;
    /* Called about ten times a second; -1 ends the move (before GO only). */
    struct xf_tick tick;
    /* Everything but GO has arrived; if pages are absent, the pager must be ready when this
     * returns. -1 ends the move. NULL: nothing to prepare. */
    int (*prepare)(void *priv, struct xf_err *err);
    /* Is everything but pages and state in place (devices attached)? NULL: always. Must not
     * block. */
    bool (*ready)(void *priv);
    /* The guest was renamed at the source, or its vCPUs were set: do the same to the copy. -1
     * ends the move. NULL: such changes cannot be followed. */
    int (*follow)(void *priv, const struct xf_follow *f, struct xf_err *err);
    /* The guest's disks, which move too, are complete at the source's end: make sure of that here,
     * before it is told so. -1 ends the move. NULL: none moves. */
    int (*disks)(void *priv, struct xf_err *err);
    /* GO has arrived and the guest does not run yet; from here on nothing may destroy it. */
    void (*committed)(void *priv);
    /*
     * Both may be NULL: then a lost link ends the move. called(): as often as tick; has the source
     * begun to connect again? It may have noticed a loss that does not show here. relink(): the
     * link is lost and no thread uses it. Close it, wait for the source, replace its channels by as
     * many new ones. -1 ends the move.
     */
    bool (*called)(void *priv);
    int (*relink)(void *priv, struct xf_err *err);
};

/*
 * Serve a move whose domain is built, until the guest runs here or the move has been given up. If
 * this side failed, the source has been sent the reason. All channels of the link are open; they
 * stay open.
 *
 * With vm->absent, pages may be missing when it starts (vm->absent->at_go of them); the guest
 * depends on PULL (postcopy/) from then on.
 */
enum xf_sink_end xf_sink_serve(struct xf_sink_vm *vm, struct xf_link *link,
                               const struct xf_sink_watch *watch, struct xf_err *err);

/* --- between sink.c and receiver.c --- */

struct xf_receivers;

int xf_receivers_start(struct xf_receivers **out, struct xf_sink_vm *vm, struct xf_link *link,
                       struct xf_err *err);
/* Mark a set of pages absent; those that cannot be marked are added to `refused`. Called by the
 * move's thread. */
int xf_receivers_mark(struct xf_receivers *r, struct xf_view *view, const struct xf_extents *set,
                      unsigned long *refused, struct xf_err *err);
/* A set of gfns whose ranges of XF_LARGE_PAGES are whole at the source, and so may get large pages.
 * By the move's thread, before any page of them arrives. */
int xf_receivers_whole(struct xf_receivers *r, const struct xf_extents *set, struct xf_err *err);
/* Pages that have got memory in large pages so far. */
uint64_t xf_receivers_large(struct xf_receivers *r);
/* -1 with the first failure of any thread; 0: none so far. */
int xf_receivers_check(struct xf_receivers *r, struct xf_err *err);
/* Has every channel synced after its last page? */
bool xf_receivers_complete(struct xf_receivers *r);
/* Has any channel? */
bool xf_receivers_ending(struct xf_receivers *r);
/* halt: end the threads; the bulk channels are dead then, the map of gfns that have memory is
 * kept. go: start threads on the link's new channels. */
void xf_receivers_halt(struct xf_receivers *r);
int xf_receivers_go(struct xf_receivers *r, struct xf_err *err);
void xf_receivers_stop(struct xf_receivers *r);

#endif
