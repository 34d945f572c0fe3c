/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeping the distribution's xl away from a guest whose move is not finished: from its memory while
 * pages are missing here, which xl would wait for without end or omit silently; and from letting it
 * run or suspending it while a move holds it.
 */
#ifndef XF_INCOMPLETE_H
#define XF_INCOMPLETE_H

#include "tools/front.h"

/* What a sub-command does to a guest. */
enum {
    INCOMPLETE_READS = 1, /* reads its memory */
    INCOMPLETE_STOPS = 2, /* suspends it, and lets it run again if that fails */
    INCOMPLETE_RUNS = 4,  /* lets it run */
};

/* The domain to which this call would do such things, and which of them; NULL: none. Points into
 * argv. */
const char *incomplete_victim(const struct front *f, unsigned *does);

/* -1 with an error for people when that must not be done to `domain` now; 0 also when that is
 * unknown, or domain is NULL. */
int incomplete_refuse(const char *domain, unsigned does, struct xf_err *err);

#endif
