/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The course of one move, for its report: how far it was at points in time, and its rounds. Of
 * fixed size however long the move: when there is no more room, every other sample is dropped and
 * the next ones are taken half as often; of the rounds the newest are kept.
 *
 * No clock, no I/O; one thread at a time.
 */
#ifndef XF_HISTORY_H
#define XF_HISTORY_H

#include "libxl-ext/libxl_ext.h"

#define XF_HISTORY_SAMPLES 120u
#define XF_HISTORY_ROUNDS 40u

/* At one moment. Counts are those since the move began, so a rate is the difference of two. */
struct xf_history_sample {
    double at_s; /* since the move began */
    enum xf_phase phase;
    uint64_t wire_bytes;
    uint64_t pages;   /* of the guest's memory: sent, or as zero */
    double dirty_pps; /* pages per second, of the last round that ended; < 0: none has */
    uint64_t missing; /* PULL: pages that the destination lacks */
};

/* A round that has ended. */
struct xf_history_round {
    unsigned round;
    double at_s, took_s; /* at_s: its begin, since the move began */
    uint64_t pages;      /* that it set out to send */
    uint64_t data, zero; /* sent in it: with content, as marks */
    uint64_t left;       /* dirty pages at its end */
};

struct xf_history {
    int64_t began; /* time(2) */
    unsigned nr, nr_rounds;
    double every_s; /* least time between two samples; 0: none yet */
    struct xf_history_sample samples[XF_HISTORY_SAMPLES];
    struct xf_history_round rounds[XF_HISTORY_ROUNDS];
};

/* Add a sample. It is left out if the last one is of the same phase and not old enough. */
void xf_history_sample(struct xf_history *h, const struct xf_history_sample *s);
/* Add a round, unless it is the one added last. */
void xf_history_round(struct xf_history *h, const struct xf_history_round *r);

#endif
