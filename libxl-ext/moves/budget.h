/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bandwidth that all moves from this host share (<limit bandwidth> of xenferry.xml). The file
 * "bandwidth" of the run directory holds one number: when the next page may go out. Each move moves
 * it on by what it is about to send, and waits until then. So the sum is held however many they
 * are, each gets its turn, and a lone move has all of it.
 *
 * A process that dies leaves at most one batch of pages that nobody sends. A number that cannot be
 * right is taken for "now". One struct per move, used by one thread.
 */
#ifndef XF_BUDGET_H
#define XF_BUDGET_H

#include <stdint.h>

#include "transport/err.h"

struct xf_budget {
    int fd;        /* -1: not open, and nothing is limited */
    uint64_t rate; /* bytes per second */
    uint64_t due;  /* of this move alone, while somebody keeps the file locked */
};

int xf_budget_open(struct xf_budget *b, uint64_t rate, struct xf_err *err);
/* These bytes are to be sent next, XF_BUDGET_BATCH at most: seconds until they may be, 0 or more.
 * Blocks for a moment only. */
#define XF_BUDGET_BATCH (4u << 20)
double xf_budget_spend(struct xf_budget *b, uint64_t bytes);
void xf_budget_close(struct xf_budget *b);

#endif
