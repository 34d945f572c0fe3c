/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The slots of a host: it takes part in as many moves at a time as it has slots, in either
 * direction. A slot is a file of the run directory (slot.0 to slot.63), held by flock(2) for as
 * long as the process that moves or receives works on the move, PULL included; when that process
 * dies the kernel gives it back.
 *
 * At the source source/move_queue.c takes a slot and gives it back, at the destination
 * sink/receive_slot.c. A process that finds none at its own host may wait for one; one that lacks
 * the other host's gives its own back first. So nobody holds a slot and waits for another, and two
 * hosts that move guests to each other cannot wait for each other for ever.
 *
 * Any thread; no state but the files.
 */
#ifndef XF_SLOT_H
#define XF_SLOT_H

#include <stdbool.h>

#include "transport/err.h"
#include "transport/key.h"

#define XF_MOVES_USUAL 2u /* slots of a host, unless it is configured */
#define XF_MOVES_MAX 64u

/*
 * Take one of the host's `limit` slots (1 to XF_MOVES_MAX). 0: *fd holds it, for xf_slot_give().
 * XF_SLOT_NONE: all are held; *fd is -1. -1: the run directory cannot be used. *busy: how many are
 * held, this one included, `limit` at most. Blocks for microseconds, unless somebody holds
 * slots.lock: then for a second at most, and there is none.
 */
#define XF_SLOT_NONE 1
int xf_slot_take(unsigned limit, int *fd, unsigned *busy, struct xf_err *err);
/* Give it back. *fd < 0: does nothing. */
void xf_slot_give(int *fd);
/* How many are held. */
int xf_slots_busy(unsigned *busy, struct xf_err *err);

/*
 * A move within one host takes part in it once, not twice: its source marks the slot it holds by
 * the move's key, and its receiver, which has that key from the hello, finds the mark. In the file
 * is a hash of the key.
 */
int xf_slot_mark(int fd, const struct xf_key *key, struct xf_err *err);
/* Is one of this host's slots held for the move with this key? */
bool xf_slot_marked(const struct xf_key *key);

/* Tells when a slot may have become free. Returns a descriptor to close, or -1: then there is
 * nothing but to look from time to time. */
int xf_slot_watch(void);
/* Wait `ms` at most. True: a slot may have become free. False: it is time, or a signal has arrived.
 */
bool xf_slot_await(int watch, int ms);

#endif
