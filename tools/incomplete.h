/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeping the distribution's xl away from a guest that a move is not through with: from its memory
 * while that is not all here, which would be waited for without end or left out without a word; and
 * from letting it run, or suspending it, where a move holds it.
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

/* The domain that this call would do such things to, and which; NULL: none. Points into argv. */
const char *incomplete_victim(const struct front *f, unsigned *does);

/* -1 with a sentence for people when that must not be done to `domain` now; 0 also when nobody can
 * tell, or domain is NULL. */
int incomplete_refuse(const char *domain, unsigned does, struct xf_err *err);

#endif
