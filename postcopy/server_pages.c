/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's pages, read and sent, by the answering thread and the pushers; and the check, before
 * anything is sent, that the guest is as it was at its suspend.
 */
#include "postcopy/server_parts.h"

#include <errno.h>

#include "transport/clock.h"

void xf_server_failed(struct xf_server *s, const struct xf_err *err)
{
    xf_lock(&s->lock, server_lock);
    if (!s->err.num)
        s->err = *err;
    s->stop = true;
    pthread_cond_broadcast(&s->push);
    xf_unlock(&s->lock, server_lock);
}

void xf_server_set_hopeless(struct xf_server *s)
{
    xf_lock(&s->lock, server_lock);
    s->status.hopeless = true;
    xf_unlock(&s->lock, server_lock);
}

static int lost_for_good(struct xf_server *s, struct xf_err *err)
{
    xf_server_set_hopeless(s);
    return xf_wrap(err, "the pages that the guest lacks at the destination are lost (destroy it "
                        "there, too, and boot it anew)");
}

static int was_resumed(struct xf_server *s, struct xf_err *err)
{
    bool lacking;

    xf_lock(&s->lock, server_lock);
    s->status.resumed = true;
    lacking = s->status.pulled.missing > 0;
    s->status.hopeless |= lacking;
    xf_unlock(&s->lock, server_lock);
    return xf_wrap(err, lacking ? "the guest runs at the destination and somebody let it run here, "
                                  "too, so the pages it lacks there can no longer be sent"
                                : "the guest runs at the destination with all its pages, and "
                                  "somebody let it run here, too");
}

int xf_server_check(struct xf_server *s, struct xf_err *err)
{
    struct xf_err why = {0};

    if (!s->watch && s->vm->ops->view_open(s->vm, &s->watch, err))
        return -1;
    /* A guest that is gone shows when one of its pages is needed, and matters only then. */
    if (!s->vm->ops->untouched(s->vm, s->watch, &why) || why.num == ESRCH)
        return 0;
    if (err)
        *err = why;
    return why.num == EBUSY ? was_resumed(s, err) : -1;
}

static int read_pages(struct xf_server *s, struct xf_view *view, struct scratch *x, unsigned n,
                      struct xf_err *err)
{
    if (!xf_still_read(s->vm, view, x->gfns, n, &x->pages, &s->map, &s->copy, err))
        return 0;
    return err->num == EBUSY ? was_resumed(s, err) : err->num == ESRCH ? lost_for_good(s, err) : -1;
}

int xf_server_send_pages(struct xf_server *s, struct xf_chan *chan, uint16_t type,
                         struct xf_view *view, struct scratch *x, unsigned n, struct xf_err *err)
{
    struct xf_msg m = {.type = type};
    uint64_t began;
    int niov, rc;

    if (read_pages(s, view, x, n, err))
        return -1;
    began = xf_now_ns();
    niov = x->pages.batch.data_pages > 0;
    if (type == XF_MSG_BATCH) {
        rc = xf_packing_send(&x->packing, s->link->ops, chan, &x->pages.batch, &x->pages.iov, niov,
                             true, x->meta, err);
    } else {
        m.meta_len = (uint32_t)xf_batch_encode(&x->pages.batch, x->meta);
        m.payload_len = x->pages.batch.data_pages * XF_PAGE_SIZE;
        rc = s->link->ops->send(chan, &m, x->meta, &x->pages.iov, niov, err);
    }
    xf_cost_add(&s->copy, n, began);
    return rc;
}
