/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Does the sink still exist? Judged at the source, in PULL, by the results of its attempts to
 * connect. A network outage tells nothing about the sink, however long it lasts. A host that
 * answers does:
 *   refused    no process listens on the port
 *   stranger   a process listens that does not know the move's key and sent something else
 *   silent     a process listens that sends nothing, or hangs up: maybe a sink that is stopped or
 *              slow, so it is given far more time
 * Times run from the first such answer until an attempt gets a milder one. No clock.
 */
#ifndef XF_GONE_H
#define XF_GONE_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/err.h"

enum xf_answer { XF_ANSWER_REFUSED, XF_ANSWER_STRANGER, XF_ANSWER_SILENT, XF_ANSWERS };

struct xf_gone {
    int limit_ms[XF_ANSWERS];  /* set by the caller: when to give up; 0: never */
    int64_t since[XF_ANSWERS]; /* of answers like this one, or worse; 0: the last was milder */
};

/* An attempt from `began` to `now` (ms, not 0) has failed with the connect op's error `why`: no
 * peer has proved that it knows the key. Returns how long this has lasted, ms, once a limit is
 * reached; else 0. */
int64_t xf_gone_tried(struct xf_gone *g, const struct xf_err *why, int64_t began, int64_t now);

/* An attempt has reached the sink. */
void xf_gone_met(struct xf_gone *g);

#endif
