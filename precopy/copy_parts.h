/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of COPY and SWITCH at the source use of each other, from the bottom up:
 * copy_follow.c (the control channel in COPY), copy_forecast.c (what the move will take),
 * copy_round.c (one round), copy_zeros.c (the one look of a post-copy move), copy.c (the course of
 * COPY), leave.c (pages left for PULL), switch.c (SWITCH). Private to them. Their state is struct
 * xf_copy (copy.h).
 *
 * All of it belongs to the move's one thread. A call that waits ticks meanwhile (xf_copy_tick()),
 * and -1 may also be the tick's error. XF_LINK: the link is lost; see xf_copy_change_link().
 */
#ifndef XF_COPY_PARTS_H
#define XF_COPY_PARTS_H

#include "precopy/copy.h"

/* --- copy_follow.c: the control channel in COPY --- */

/* The guest is not suspended before the destination has its devices: waiting for them would be
 * downtime. 0: it has them. XF_AGAIN: not within wait_ms; ask again. Does not tick. */
int xf_copy_ask_devices(struct xf_copy *c, int wait_ms, struct xf_err *err);
/* Wait until it has them. *waited: so long that the guest may have dirtied more than was
 * counted. */
int xf_copy_await_devices(struct xf_copy *c, bool *waited, struct xf_err *err);
/* The destination has to follow the guest's memory target, too: `xl mem-set` in COPY. While an
 * answer is due on the control channel this does nothing; call it again later. */
int xf_copy_follow_target(struct xf_copy *c, struct xf_err *err);
/* Send the destination the changes that it must follow, if that is due and the control channel
 * is free. */
int xf_copy_follow(struct xf_copy *c, struct xf_err *err);

/* --- copy_round.c: one round --- */

/* Read the dirty log into map, and measure how long that takes. */
int xf_copy_read_log(struct xf_copy *c, enum xf_log_read how, unsigned long *map,
                     struct xf_err *err);
/* Is the round to end before all its pages are sent? */
bool xf_copy_cut_short(const struct xf_copy *c);
/* -1 with an error if the deadline has passed. */
int xf_copy_late(struct xf_copy *c, struct xf_err *err);
/* Wait until every page sent is in the destination's memory. base: pages sent before this round,
 * or NULL. A round that is cut short meanwhile takes back the queued pages. */
int xf_copy_sync_round(struct xf_copy *c, const uint64_t *base, struct xf_err *err);
/* Queue all pages that order holds. last: these are SWITCH's, which nothing cuts short. */
int xf_copy_send_order(struct xf_copy *c, bool last, struct xf_err *err);
/* A round, or what a lost link has left of it (c->again). Afterwards c->owed holds the pages that
 * were not sent because it was cut short. */
int xf_copy_one_round(struct xf_copy *c, struct xf_err *err);

/* --- copy_forecast.c --- */

/* In the first round, after a look at the log (c->growth): take the forecast if that was not done
 * and enough is known, or if the round is over. */
void xf_copy_foresee(struct xf_copy *c, bool over);

/* --- copy_whole.c --- */

/* Tell the destination which ranges may be large pages, once, before the first page of a round;
 * only if it takes that, and not before post-copy. */
int xf_copy_tell_whole(struct xf_copy *c, struct xf_err *err);

/* --- copy_zeros.c --- */

/* Report all zero pages to the destination; the others stay owed. */
int xf_copy_tell_zeros(struct xf_copy *c, struct xf_err *err);

/* --- copy.c --- */

/* Something failed with err while the guest runs. 0: it was the link, which has been replaced;
 * pages that no sync has confirmed must be sent again. -1: it was not, or there is no new link. */
int xf_copy_change_link(struct xf_copy *c, struct xf_err *err);

/* --- leave.c: pages left for PULL --- */

/* Will SWITCH leave pages for PULL, as things stand? */
bool xf_copy_leaves(const struct xf_copy *c);
/* Before the suspend: choose the pages to leave out (c->missing) and have the destination mark them
 * absent. */
int xf_copy_leave(struct xf_copy *c, struct xf_err *err);
/* The guest is suspended and order.todo holds the pages of the last dirty log: add those that
 * must not be left out (c->due), and remove all of these from c->missing. In a hybrid move whose
 * switch was not asked for, c->missing becomes empty if few pages are left in it
 * (xf_policy_worth(), policy.h). */
void xf_copy_settle(struct xf_copy *c);

#endif
