/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is there still a sink? Judged at the source, in PULL, by what its attempts to connect meet. A
 * network that is away says nothing of the sink, however long it lasts. A host that answers does:
 *   refused    nobody listens on the port
 *   stranger   somebody does who does not know the move's key, and said something else instead
 *   silent     somebody does who says nothing, or hangs up: that may be a sink that is stopped or
 *              slow, so it is given far more time
 * Times run from the first such answer for as long as no attempt meets something milder. No clock.
 */
#ifndef XF_GONE_H
#define XF_GONE_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/err.h"

enum xf_answer { XF_ANSWER_REFUSED, XF_ANSWER_STRANGER, XF_ANSWER_SILENT, XF_ANSWERS };

struct xf_gone {
    int limit_ms[XF_ANSWERS];  /* the caller's: when to give up; 0: never */
    int64_t since[XF_ANSWERS]; /* of answers like this one, or worse; 0: the last was milder */
};

/* An attempt from `began` to `now` (ms, not 0) has failed with why, which is the connect op's:
 * nobody has proved to know the key. Returns for how many ms that goes on, once it is too long;
 * else 0. */
int64_t xf_gone_tried(struct xf_gone *g, const struct xf_err *why, int64_t began, int64_t now);

/* One has met the sink. */
void xf_gone_met(struct xf_gone *g);

#endif
