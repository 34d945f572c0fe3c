/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages that arrive, requested or pushed: taken off a channel and put into the guest. Here are the
 * pullers, which do that with pushed pages, what the pager's thread shares with them, and what an
 * error of either means.
 */
#include "postcopy/pager_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transport/clock.h"

struct scratch *xf_pager_scratch_new(struct xf_sink_vm *vm, struct xf_err *err)
{
    struct scratch *x = calloc(1, sizeof(*x));

    if (x)
        x->payload = malloc(XF_PAYLOAD_MAX);
    if (x && x->payload && !vm->ops->view_open(vm, &x->view, err))
        return x;
    xf_fail(err, ENOMEM, "out of memory for a thread that takes pages");
    if (x)
        free(x->payload);
    free(x);
    return NULL;
}

void xf_pager_scratch_free(struct xf_sink_vm *vm, struct scratch *x)
{
    if (!x)
        return;
    vm->ops->view_close(x->view);
    xf_unpacker_free(x->unpacker);
    free(x->payload);
    free(x);
}

/* --- errors --- */

void xf_pager_set_error(struct xf_pager *p, const struct xf_err *err)
{
    xf_lock(&p->lock, pager_lock);
    if (!p->error.num)
        p->error = *err;
    xf_unlock(&p->lock, pager_lock);
}

void xf_pager_set_lost(struct xf_pager *p, const struct xf_err *err)
{
    xf_lock(&p->lock, pager_lock);
    if (!p->lost.num)
        p->lost = *err;
    xf_unlock(&p->lock, pager_lock);
}

bool xf_pager_is_short(const struct xf_err *err)
{
    return err->num == ENOMEM;
}

bool xf_pager_is_ours(const struct xf_err *err)
{
    return err->whose == XF_OURS && !xf_pager_is_short(err);
}

/* --- pages --- */

int xf_pager_take(struct xf_pager *p, struct xf_chan *chan, const struct xf_msg *m,
                  struct scratch *x, struct xf_err *err)
{
    const uint8_t *next = x->payload;
    uint64_t began = xf_now_ns();
    unsigned n = 0;

    if (xf_packing_decode(&x->pack, &x->batch, m, x->meta, p->vm->nr_gfns, err) ||
        xf_packing_receive(&x->unpacker, p->link->ops, chan, &x->pack, &x->batch, x->payload, err))
        return -1;
    for (unsigned i = 0; i < x->batch.nr_runs; i++) {
        const struct xf_run *r = &x->batch.runs[i];

        if (r->kind == XF_RUN_ABSENT)
            return xf_fail(err, EPROTO, "the source sent an absent page during PULL");
        for (uint32_t k = 0; k < r->count; k++, n++) {
            x->gfns[n] = r->gfn + k;
            x->pages[n] = NULL;
            if (r->kind != XF_RUN_DATA)
                continue;
            x->pages[n] = next;
            next += XF_PAGE_SIZE;
        }
    }
    xf_cost_add(&p->copy, n, began);
    if (xf_absent_put(p->absent, x->view, x->gfns, x->pages, n, err) < 0)
        return -1;
    xf_pager_arrived(p, x->gfns, n);
    return 0;
}

/* --- pullers --- */

static void *pull_main(void *arg)
{
    struct puller *q = arg;
    struct xf_pager *p = q->p;
    const struct xf_transport_ops *t = p->link->ops;
    struct xf_err err = {0};
    struct scratch *x = xf_pager_scratch_new(p->vm, &err);
    uint64_t taken = 0;

    while (x) {
        struct xf_msg m;

        if (t->recv(q->chan, &m, x->meta, -1, &err))
            break;
        if (m.type != XF_MSG_BATCH && m.type != XF_MSG_PACKED) {
            xf_fail(&err, EPROTO, "the source sent message %u on a bulk channel", m.type);
            break;
        }
        if (xf_pager_take(p, q->chan, &m, x, &err))
            break;
        taken += x->batch.nr_pages;
        m = (struct xf_msg){.type = XF_MSG_TAKEN};
        m.meta_len = (uint32_t)xf_u64s_encode(&taken, 1, x->meta);
        if (t->send(q->chan, &m, x->meta, NULL, 0, &err))
            break;
    }
    /* Without a scratch the link is lost as well: there may be memory for it with the next one. */
    if (x && xf_pager_is_ours(&err))
        xf_pager_set_error(p, &err);
    else
        xf_pager_set_lost(p, &err);
    xf_pager_scratch_free(p->vm, x);
    return NULL;
}

int xf_pager_start_pullers(struct xf_pager *p, struct xf_err *err)
{
    assert(!p->nr && p->link->nr_bulk <= XF_CHANNELS_MAX);
    for (unsigned i = 0; i < p->link->nr_bulk; i++) {
        struct puller *q = &p->pullers[p->nr++];
        int rc;

        *q = (struct puller){.p = p, .chan = p->link->bulk[i]};
        rc = pthread_create(&q->thread, NULL, pull_main, q);
        if (rc)
            return xf_fail(err, rc, "cannot start a pulling thread: %s", strerror(rc));
        q->started = true;
    }
    return 0;
}
