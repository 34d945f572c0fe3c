/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rate of a link: see link_rate.h. */
#include "libxl-ext/source/link_rate.h"

#define AHEAD 4           /* probes on their way, once it is warm */
#define LEAST 3           /* answers, however long they take */
#define PROBE_S 1.0       /* from the first answer on */
#define MOST (256u)       /* probes: 64 MiB, which a fast link carries sooner than that */
#define SHORTEST_S 0.0001 /* between the first and the last answer, where the clock shows less */

bool xf_link_rate_more(const struct xf_link_rate *r, double now)
{
    uint64_t ahead = r->answered < AHEAD ? r->answered + 1 : AHEAD;

    if (r->sent - r->answered >= ahead || r->sent >= MOST)
        return false;
    return r->sent < LEAST || (r->answered && now - r->first < PROBE_S);
}

void xf_link_rate_answer(struct xf_link_rate *r, double now)
{
    if (!r->answered++)
        r->first = now;
    r->last = now;
}

double xf_link_rate(const struct xf_link_rate *r)
{
    double took = r->last - r->first;

    return (double)(r->answered - 1) * XF_PROBE / (took > SHORTEST_S ? took : SHORTEST_S);
}
