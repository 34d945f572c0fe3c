/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sink's half of making a link: see gather.h. */
#include "transport/gather.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "transport/clock.h"

int xf_gather_listen(struct xf_gather *g, const struct xf_transport_ops *ops,
                     const struct xf_link_cfg *cfg, const char *addr, uint16_t port,
                     uint16_t *port_out, struct xf_err *err)
{
    if (g->nr == XF_GATHER_MAX)
        return xf_fail(err, EINVAL, "no room for another transport");
    if (ops->listen(cfg, addr, port, &g->at[g->nr].listener, port_out, err))
        return -1;
    g->at[g->nr++].ops = ops;
    g->channels = cfg->channels;
    g->version = cfg->version;
    if (cfg->disk_channels) {
        g->disk_ops = ops;
        g->disk_channels = cfg->disk_channels;
    }
    return 0;
}

/* Each once in a move. */
static void keep_disk(struct xf_gather *g, const struct xf_transport_ops *ops, struct xf_chan *c,
                      unsigned n)
{
    if (ops == g->disk_ops && n < g->disk_channels && !g->disk[n] && !(g->disks_taken >> n & 1))
        g->disk[n] = c;
    else
        ops->close(c);
}

static int keep(struct xf_gather *g, const struct xf_transport_ops *ops, struct xf_chan *c,
                struct xf_chan_id id)
{
    struct xf_link *l = &g->link;
    struct xf_chan **at = NULL;
    bool whole;

    if (id.role == XF_ROLE_DISK) {
        keep_disk(g, ops, c, id.nr);
        return XF_AGAIN;
    }
    if (id.role == XF_ROLE_BULK)
        at = &l->bulk[id.nr];
    else if (id.role == XF_ROLE_URGENT && g->urgent)
        at = &l->urgent;
    if (id.role == XF_ROLE_CONTROL) {
        xf_link_close(l);
        l->ops = ops;
        l->version = g->version;
        l->control = c;
        l->nr_bulk = g->channels;
        g->began = xf_now_ms();
    } else if (l->ops != ops || !at || *at) {
        ops->close(c); /* of a link that the source has given up */
        return XF_AGAIN;
    } else {
        *at = c;
    }
    whole = !g->urgent || l->urgent;
    for (unsigned i = 0; i < g->channels; i++)
        whole &= l->bulk[i] != NULL;
    return whole ? 0 : XF_AGAIN;
}

int xf_gather_step(struct xf_gather *g, int timeout_ms, struct xf_err *err)
{
    for (unsigned i = 0; i < g->nr; i++) {
        struct xf_chan *c = NULL;
        struct xf_chan_id id = XF_CONTROL;
        struct xf_err why = {0};
        int rc = g->at[i].ops->accept(g->at[i].listener, timeout_ms / (int)g->nr, &c, &id, &why);

        if (rc < 0 && why.num == EEXIST)
            continue;
        if (rc < 0 && g->nr == 1)
            return xf_fail_as(err, &why, "%s", why.text);
        if (rc < 0) {
            xf_gather_unlisten(g, g->at[i].ops);
            return XF_AGAIN;
        }
        if (rc == 0 && keep(g, g->at[i].ops, c, id) == 0)
            return 0;
    }
    return XF_AGAIN;
}

bool xf_gather_called(const struct xf_gather *g)
{
    return g->link.control != NULL;
}

void xf_gather_take(struct xf_gather *g, struct xf_link *out)
{
    struct xf_link *l = &g->link;

    assert(l->control);
    out->ops = l->ops;
    out->control = l->control;
    memcpy(out->bulk, l->bulk, sizeof(out->bulk));
    out->urgent = l->urgent;
    out->nr_bulk = l->nr_bulk;
    out->version = l->version;
    memset(l, 0, sizeof(*l));
}

struct xf_chan *xf_gather_take_disk(struct xf_gather *g, unsigned n)
{
    struct xf_chan *c = g->disk[n];

    g->disk[n] = NULL;
    if (c)
        g->disks_taken |= 1u << n;
    return c;
}

/* Stop listening with `ops` (NULL: any), or with all others. */
static void unlisten(struct xf_gather *g, const struct xf_transport_ops *ops, bool others)
{
    unsigned kept = 0;

    if (!ops || (g->link.ops == ops) != others)
        xf_link_close(&g->link);
    for (unsigned i = 0; !ops && i < g->disk_channels; i++) {
        g->disk_ops->close(g->disk[i]);
        g->disk[i] = NULL;
    }
    for (unsigned i = 0; i < g->nr; i++) {
        if (!ops || (g->at[i].ops == ops) != others)
            g->at[i].ops->unlisten(g->at[i].listener);
        else
            g->at[kept++] = g->at[i];
    }
    g->nr = kept;
}

void xf_gather_unlisten(struct xf_gather *g, const struct xf_transport_ops *ops)
{
    unlisten(g, ops, false);
}

void xf_gather_keep(struct xf_gather *g, const struct xf_transport_ops *ops)
{
    unlisten(g, ops, true);
}
