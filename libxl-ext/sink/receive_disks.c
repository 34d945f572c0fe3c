/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sink process in DISKS, and what remains of it in SWITCH. See receive_parts.h. */
#include <errno.h>
#include <stdlib.h>

#include "libxl-ext/sink/receive_parts.h"
#include "transport/clock.h"
#include "transport/times.h"

#define STEP_MS 20

/* One message of the control channel. 1: every copy follows its disk. */
static int take(struct sink *s, const struct xf_msg *m, bool joined, struct xf_err *err)
{
    if (m->payload_len)
        return xf_fail(err, EPROTO, "message %u must not have a payload, but has one of %u bytes",
                       m->type, m->payload_len);
    switch (m->type) {
    case XF_MSG_PING:
        return xf_link_say(&s->link, XF_MSG_PONG, NULL, 0, err);
    case XF_MSG_DISKS_COPIED:
        return joined ? 1
                      : xf_fail(err, EPROTO,
                                "the source has copied its disks before it had connected all of "
                                "them");
    case XF_MSG_ABORT:
        return xf_fail(err, ECANCELED, "the source gave up the move");
    default:
        return xf_fail(err, EPROTO, "the source sent message %u while its disks were copied",
                       m->type);
    }
}

/* The source says something every few seconds. */
static int receive(struct sink *s, uint8_t *meta, struct xf_err *err)
{
    int64_t heard = xf_now_ms();
    bool joined = false;
    struct xf_msg m;
    int rc;

    do {
        if (!joined && xf_gather_step(&s->gather, STEP_MS, err) < 0)
            return -1;
        if (!joined && xf_disks_here_join(&s->disks, &s->gather, &joined, err))
            return -1;
        rc = s->link.ops->recv(s->link.control, &m, meta, joined ? STEP_MS : 0, err);
        if (rc == 0) {
            heard = xf_now_ms();
            rc = take(s, &m, joined, err);
        } else if (rc == XF_AGAIN) {
            rc = 0;
        }
        if (rc < 0 || xf_sink_tick(s, err))
            return -1;
        if (xf_now_ms() - heard > XF_SINK_STALL_MS)
            return xf_fail_link(err, ETIMEDOUT,
                                "the source has been silent for %d s while its disks were copied",
                                XF_SINK_STALL_MS / 1000);
    } while (rc == 0);
    return 0;
}

int xf_sink_disks(struct sink *s, struct xf_err *err)
{
    uint8_t *meta = malloc(XF_META_MAX);
    int rc = -1;

    xf_sink_tell(s, XF_PHASE_DISKS);
    if (!meta)
        return xf_fail(err, ENOMEM, "out of memory");
    if (!xf_disks_here_make(&s->disks, &s->o->stores, &s->check.hello, s->shared->disks, err) &&
        !xf_link_say(&s->link, XF_MSG_DISKS_MADE, NULL, 0, err))
        rc = receive(s, meta, err);
    free(meta);
    return rc;
}

int xf_sink_disks_done(void *priv, struct xf_err *err)
{
    struct sink *s = priv;

    return xf_disks_here_complete(&s->disks, XF_DISKS_MS, (struct xf_tick){xf_sink_tick, s}, err);
}
