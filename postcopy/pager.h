/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pager: PULL at the sink. The guest runs here without some of its pages; an access to one of
 * them waits. The pager takes the fault, requests the page on the urgent channel, and puts in the
 * pages that arrive, requested or pushed, in any order and any number of times.
 *
 * It survives lost links: the guest continues with the pages that are here, accesses to missing
 * pages keep waiting, and over the next link all of these are requested again.
 *
 * One thread calls everything here, unless said otherwise.
 */
#ifndef XF_PAGER_H
#define XF_PAGER_H

#include "postcopy/pull.h"
#include "pages/absent.h"
#include "transport/link.h"

struct xf_pager;

/* Start taking faults; call before the guest runs. vm->absent holds the missing pages. In PULL
 * the link is lost when the source sends nothing for silence_ms; 0: never. */
int xf_pager_new(struct xf_pager **out, struct xf_sink_vm *vm, int silence_ms, struct xf_err *err);

/* Send requests on this link's urgent channel. Call before GO is answered, so that no fault
 * waits. */
void xf_pager_start(struct xf_pager *p, struct xf_link *link);
/* The same for a link that replaces a lost one: sends the source the set of missing pages. tick
 * as in xf_pager_run(). -1: this link is lost, too, or tick or this side failed. */
int xf_pager_attach(struct xf_pager *p, struct xf_link *link, struct xf_tick tick,
                    struct xf_err *err);

/*
 * Receive pages until none is missing and the source knows it. tick is called about ten times a
 * second; if it returns -1: XF_PULL_FAILED. After XF_PULL_LOST the link must be closed, and another
 * can be attached; faults are taken throughout. Before XF_PULL_ENDED the source is told, and its
 * answer awaited for some seconds; xf_pager_source_knows() tells whether it arrived.
 */
enum xf_pull_end xf_pager_run(struct xf_pager *p, struct xf_tick tick, struct xf_err *err);

/* After XF_PULL_ENDED: has the source confirmed it? If not: tell it over another link, with
 * xf_pager_attach_ended() in place of xf_pager_attach(). That link has no other use. 0: the
 * source knows; else as in xf_pager_attach(). */
bool xf_pager_source_knows(const struct xf_pager *p);
int xf_pager_attach_ended(struct xf_pager *p, struct xf_link *link, struct xf_tick tick,
                          struct xf_err *err);

/* Between links: does the guest still exist, and could its faults be taken? */
enum xf_pull_end xf_pager_check(struct xf_pager *p, struct xf_err *err);

/* Progress. Any thread. */
void xf_pager_status(struct xf_pager *p, struct xf_pulled *out);

/* The guest's network was held for held_ns and is released; reported to the source from now on.
 * Any thread. */
void xf_pager_network(struct xf_pager *p, uint64_t held_ns);

/* Mean time from a fault until its page was put in, ns; 0: no faults. Any thread. */
uint64_t xf_pager_mean_ns(struct xf_pager *p);

/* Stop; the link's channels are dead then. No page may be missing, or the guest must be gone
 * or stopped for good. NULL allowed. */
void xf_pager_free(struct xf_pager *p);

#endif
