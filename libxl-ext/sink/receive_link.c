/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sink process: its channels. See receive_parts.h. */
#include <errno.h>

#include "libxl-ext/peer/hello.h"
#include "libxl-ext/sink/receive_parts.h"
#include "transport/clock.h"
#include "transport/times.h"

/* The largest ring per channel that is granted at a source's request. */
#define BUFFER_MIB_TRUSTED 64u

const char *xf_sink_listen_address(const struct sink *s)
{
    return s->o->nr_addresses == 1 ? s->o->addresses[0] : NULL;
}

struct xf_link_cfg xf_sink_link_cfg(const struct sink *s, bool rdma)
{
    struct xf_link_cfg cfg =
        xf_hello_link_cfg(&s->check.hello, rdma, XF_ACCEPT_MS, XF_SINK_STALL_MS);
    uint32_t mib = s->check.hello.rdma_buffer_mib;

    if (!rdma)
        return cfg;
    /* The source alone does not decide how much memory a move takes here. */
    if (mib > BUFFER_MIB_TRUSTED)
        mib = BUFFER_MIB_TRUSTED;
    cfg.rdma_buffer = (s->o->rdma_buffer_mib ? s->o->rdma_buffer_mib : mib) << 20;
    cfg.rdma_poll_us = s->o->rdma_poll_us;
    return cfg;
}

int xf_sink_accept(struct sink *s, int within_ms, struct xf_tick tick, struct xf_err *err)
{
    int64_t until = xf_now_ms() + within_ms;
    int rc;

    while ((rc = xf_gather_step(&s->gather, 20, err)) == XF_AGAIN) {
        if (xf_tick(tick, err))
            return -1;
        if (xf_now_ms() > until)
            return xf_fail(err, ETIMEDOUT, "the source did not connect all of its channels");
    }
    if (rc)
        return -1;
    xf_gather_take(&s->gather, &s->link);
    xf_link_watch(&s->link, (struct xf_tick){xf_sink_tick, s});
    if (s->link.ops == &xf_tcp_ops)
        xf_gather_keep(&s->gather, &xf_tcp_ops);
    return 0;
}

void xf_sink_tell_source(struct sink *s, const struct xf_err *why)
{
    uint8_t meta[XF_TEXT_MAX + 64];

    if (s->link.control)
        xf_link_say(&s->link, XF_MSG_ERROR, meta, xf_text_encode(why->num, why->text, meta), NULL);
}
