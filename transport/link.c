/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The channels of one move held together: see link.h. */
#include "transport/link.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Connect one channel unless it is connected already. */
static int connect_one(struct xf_link *l, const struct xf_link_cfg *cfg,
                       const struct xf_link_peer *peer, struct xf_chan_id id, struct xf_chan **at,
                       struct xf_tick tick, struct xf_err *err)
{
    if (*at)
        return 0;
    if (xf_tick(tick, err))
        return -1;
    return l->ops->connect(cfg, peer->host, peer->port, peer->src, id, at, err);
}

int xf_link_connect(struct xf_link *l, const struct xf_link_cfg *cfg,
                    const struct xf_link_peer *peer, bool urgent, struct xf_tick tick,
                    struct xf_err *err)
{
    l->version = cfg->version;
    if (connect_one(l, cfg, peer, XF_CONTROL, &l->control, tick, err))
        return -1;
    for (unsigned i = 0; i < cfg->channels; i++) {
        if (connect_one(l, cfg, peer, XF_BULK(i), &l->bulk[i], tick, err))
            return -1;
        if (l->nr_bulk <= i)
            l->nr_bulk = i + 1;
    }
    return urgent ? connect_one(l, cfg, peer, XF_URGENT, &l->urgent, tick, err) : 0;
}

void xf_link_watch(struct xf_link *l, struct xf_tick tick)
{
    if (l->control && l->ops->watch)
        l->ops->watch(l->control, tick);
}

int xf_link_say(struct xf_link *l, uint16_t type, const void *meta, size_t len, struct xf_err *err)
{
    struct xf_msg m = {.type = type, .meta_len = (uint32_t)len};

    return l->ops->send(l->control, &m, meta, NULL, 0, err);
}

int xf_link_say_u64s(struct xf_link *l, uint16_t type, const uint64_t *v, unsigned n,
                     struct xf_err *err)
{
    uint8_t meta[128];

    assert(n <= sizeof(meta) / 8);
    return xf_link_say(l, type, meta, xf_u64s_encode(v, n, meta), err);
}

/* The peer's XF_MSG_ERROR as an error of ours. */
static int peer_error(const struct xf_msg *m, const void *meta, struct xf_err *err)
{
    int num;
    char text[XF_TEXT_MAX];

    if (xf_text_decode(&num, text, m, meta, err))
        return -1;
    return xf_fail_peer(err, num ? num : EIO, "destination: %s", text);
}

int xf_link_hear(struct xf_link *l, uint16_t type, struct xf_msg *m, void *meta, int timeout_ms,
                 struct xf_err *err)
{
    int rc = l->ops->recv(l->control, m, meta, timeout_ms, err);

    if (rc)
        return rc;
    if (m->type == XF_MSG_ERROR)
        return peer_error(m, meta, err);
    if (m->type != type)
        return xf_fail(err, EPROTO, "the peer sent message %u where %u was due", m->type, type);
    if (m->payload_len)
        return xf_fail(err, EPROTO, "message %u must not have a payload, but has one of %u bytes",
                       m->type, m->payload_len);
    return 0;
}

void xf_link_last_words(struct xf_link *l, int wait_ms, struct xf_err *err)
{
    struct xf_msg m;
    struct xf_err said = {0};
    uint8_t *meta = malloc(XF_META_MAX);

    /* The message is likely to be the next one: the peer sends it before it closes. */
    for (int i = 0; meta && l->control && i < 4; i++) {
        if (l->ops->recv(l->control, &m, meta, wait_ms, &said) || m.payload_len)
            break;
        if (m.type == XF_MSG_ERROR) {
            peer_error(&m, meta, &said);
            *err = said;
            break;
        }
    }
    free(meta);
}

static void add_stats(const struct xf_link *l, const struct xf_chan *c, struct xf_chan_stats *sum)
{
    struct xf_chan_stats s = {0};

    if (!c)
        return;
    l->ops->stats(c, &s);
    sum->tx_bytes += s.tx_bytes;
    sum->rx_bytes += s.rx_bytes;
    sum->work_requests += s.work_requests;
    sum->completions += s.completions;
}

struct xf_chan_stats xf_link_stats(const struct xf_link *l)
{
    struct xf_chan_stats sum = l->past;

    add_stats(l, l->control, &sum);
    for (unsigned i = 0; i < l->nr_bulk; i++)
        add_stats(l, l->bulk[i], &sum);
    add_stats(l, l->urgent, &sum);
    return sum;
}

uint64_t xf_link_bytes(const struct xf_link *l)
{
    struct xf_chan_stats s = xf_link_stats(l);

    return s.tx_bytes + s.rx_bytes;
}

void xf_link_abort_bulk(struct xf_link *l)
{
    for (unsigned i = 0; i < l->nr_bulk; i++)
        if (l->bulk[i])
            l->ops->abort(l->bulk[i]);
}

void xf_link_abort(struct xf_link *l)
{
    xf_link_abort_bulk(l);
    if (l->urgent)
        l->ops->abort(l->urgent);
    if (l->control)
        l->ops->abort(l->control);
}

void xf_link_close(struct xf_link *l)
{
    if (!l->ops)
        return;
    l->past = xf_link_stats(l);
    for (unsigned i = 0; i < XF_CHANNELS_MAX; i++) {
        l->ops->close(l->bulk[i]);
        l->bulk[i] = NULL;
    }
    l->ops->close(l->urgent);
    l->urgent = NULL;
    l->ops->close(l->control);
    l->control = NULL;
    l->nr_bulk = 0;
}
