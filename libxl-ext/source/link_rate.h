/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rate of a link, measured by probes that the other side answers one by one. Several are on
 * their way at a time, as pieces of a stream are, for about a second: a single one measures how
 * long the connection takes to warm up. The first answer only begins the measurement. Times are
 * CLOCK_MONOTONIC, in seconds. Pure.
 */
#ifndef XF_LINK_RATE_H
#define XF_LINK_RATE_H

#include <stdbool.h>
#include <stdint.h>

#define XF_PROBE (256u << 10) /* bytes of one probe */

struct xf_link_rate {
    uint64_t sent, answered; /* probes */
    double first, last;      /* when the first and the last answer came */
};

/* Is another probe to be sent now? When not, and all are answered, the measurement is complete. */
bool xf_link_rate_more(const struct xf_link_rate *r, double now);
/* An answer has come. */
void xf_link_rate_answer(struct xf_link_rate *r, double now);
/* Bytes per second; complete measurements only. */
double xf_link_rate(const struct xf_link_rate *r);

#endif
