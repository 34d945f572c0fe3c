/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sink process in PULL. See receive_parts.h. */
#include "libxl-ext/sink/receive_parts.h"
#include "transport/times.h"

/* The guest depends on us, so nothing may end this wait. The network need not wait until the source
 * knows that nothing is missing; the source is told how long the network was held. */
static int pull_tick(void *priv, struct xf_err *err)
{
    struct sink *s = priv;

    (void)err;
    xf_sink_tell(s, s->show.phase);
    xf_sink_network_tick(s);
    return 0;
}

/* When the guest has ended: xl's monitor destroys a domain that was shut down for a reboot, and
 * builds the new one; we only have to release the old one. */
int xf_sink_pull(struct sink *s, bool *ended, struct xf_err *err)
{
    bool rdma = s->link.ops == &xf_rdma_ops;
    struct xf_rejoin r = {
        .ops = s->link.ops,
        .cfg = xf_sink_link_cfg(s, rdma),
        .addr = rdma ? NULL : xf_sink_listen_address(s),
        .port = rdma ? s->check.rdma_port : s->check.port,
        .gather = &s->gather,
        .tick = {pull_tick, s},
    };
    enum xf_pull_end end;

    xf_gather_keep(&s->gather, r.ops);
    end = xf_rejoin_take(&r, s->pull.pager, &s->link, XF_DONE_MS, err);
    *ended = end == XF_PULL_ENDED;
    if (end == XF_PULL_FAILED) {
        /* Better than a guest whose vCPUs get stuck one after the other. */
        xc_domain_pause(s->xch, s->xen.domid);
        return xf_wrap(err, "the guest lacks pages and was paused");
    }
    return 0;
}
