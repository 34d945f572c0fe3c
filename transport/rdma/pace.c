/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much bulk may be on its way at once: enough to keep the link busy, and no more, because
 * what waits in the network's queues makes a page request wait as well, although it has a
 * queue pair of its own. A slot's time from posting to completion tells: when it is twice the
 * shortest that was ever seen, there is a queue. On a long or fast link that comes late, on a
 * slow one soon; two slots always may go, so a link that has become slower stays in use.
 */
#include "transport/rdma/rdma.h"

#include <errno.h>
#include <stdlib.h>

#define START 4u /* slots */
#define LEAST 2u

int xf_rdma_pace_open(struct xf_chan *c, struct xf_err *err)
{
    struct xf_rdma_pace *p = &c->pace;

    p->sent = calloc(c->tx.slots, sizeof(*p->sent));
    if (!p->sent)
        return xf_fail(err, ENOMEM, "%s: out of memory", c->who);
    p->most = (uint64_t)c->tx.slots * c->tx.slot;
    p->allowed = c->small ? p->most : (uint64_t)START * c->tx.slot;
    return 0;
}

bool xf_rdma_pace_room(const struct xf_chan *c)
{
    return c->pace.posted - c->pace.done < c->pace.allowed;
}

bool xf_rdma_pace_signal(struct xf_chan *c)
{
    struct xf_rdma_pace *p = &c->pace;

    /* so that there is always one to wait for */
    if (p->posted - p->signalled < p->allowed / 4)
        return false;
    p->signalled = p->posted;
    return true;
}

void xf_rdma_pace_posted(struct xf_chan *c, uint32_t len, int64_t now_us)
{
    struct xf_rdma_pace *p = &c->pace;
    struct xf_rdma_sent *s = &p->sent[c->data % c->tx.slots];

    p->posted += len;
    s->up_to = p->posted;
    /* shorter ones say nothing about how long a full slot takes */
    s->us = !c->small && len == c->tx.slot ? now_us : 0;
}

void xf_rdma_pace_done(struct xf_chan *c, int64_t now_us)
{
    struct xf_rdma_pace *p = &c->pace;
    const struct xf_rdma_sent *s = &p->sent[(c->data_done - 1) % c->tx.slots];
    bool full = p->posted - p->done >= p->allowed; /* it was what held us up */
    int64_t took;

    p->done = s->up_to;
    if (!s->us)
        return;
    took = now_us - s->us;
    if (took < 1)
        took = 1;
    if (!p->best_us || took < p->best_us)
        p->best_us = took;
    if (took > 2 * p->best_us)
        p->allowed -= p->allowed > LEAST * c->tx.slot ? c->tx.slot : 0;
    else if (full && p->allowed < p->most)
        p->allowed += c->tx.slot;
}
