/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pager: PULL at the sink. The guest runs here without some of its pages; whoever touches
 * one of them waits. The pager learns of it, asks the source on the urgent channel, and puts
 * in what comes, asked for or pushed, in whatever order and however often it comes.
 *
 * It lives through lost links: the guest goes on with the pages that are here, who waits for
 * one that is not goes on waiting, and with the next link all of them are asked for again.
 *
 * One thread calls everything here, unless said otherwise.
 */
#ifndef XF_PAGER_H
#define XF_PAGER_H

#include "postcopy/pull.h"
#include "pages/absent.h"
#include "transport/link.h"

struct xf_pager;

/* Start to take faults; before the guest runs. vm->absent says what is missing. In PULL a
 * source that says nothing for silence_ms is lost; 0: never. */
int xf_pager_new(struct xf_pager **out, struct xf_sink_vm *vm, int silence_ms, struct xf_err *err);

/* Ask on this link's urgent channel. Before GO is answered, so that no fault waits. */
void xf_pager_start(struct xf_pager *p, struct xf_link *link);
/* The same for a link that replaces a lost one: tells the source what is missing. tick as in
 * xf_pager_run(). -1: this link is lost, too, or tick failed, or this side did. */
int xf_pager_attach(struct xf_pager *p, struct xf_link *link, struct xf_tick tick,
                    struct xf_err *err);

/*
 * Take pages until none is missing and the source knows it. tick is called some ten times a
 * second; -1 from it: XF_PULL_FAILED. After XF_PULL_LOST the link must be closed, and another
 * can be attached; faults are taken all the while. Before XF_PULL_ENDED the source is told, and
 * its answer awaited for some seconds; xf_pager_source_knows() says whether it came.
 */
enum xf_pull_end xf_pager_run(struct xf_pager *p, struct xf_tick tick, struct xf_err *err);

/* After XF_PULL_ENDED: has the source said that it knows? If not: tell it over another link, in
 * place of xf_pager_attach(). The link has no other use then. 0: it knows; else as there. */
bool xf_pager_source_knows(const struct xf_pager *p);
int xf_pager_attach_ended(struct xf_pager *p, struct xf_link *link, struct xf_tick tick,
                          struct xf_err *err);

/* Between links: is there still a guest, and could its faults be taken? */
enum xf_pull_end xf_pager_check(struct xf_pager *p, struct xf_err *err);

/* How far it is. Any thread. */
void xf_pager_status(struct xf_pager *p, struct xf_pulled *out);

/* The guest's network was let go after so long; told to the source from now on. Any thread. */
void xf_pager_network(struct xf_pager *p, uint64_t held_ns);

/* Mean time from a fault until the page was there, ns; 0: there was none. Any thread. */
uint64_t xf_pager_mean_ns(struct xf_pager *p);

/* Stop; the link's channels are dead then. No page may be missing, or the guest must be gone
 * or stopped for good. NULL allowed. */
void xf_pager_free(struct xf_pager *p);

#endif
