/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The answering thread of the page server: requests on the urgent channel, which vcpus wait for. */
#include "postcopy/server_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "postcopy/urgent.h"

_Static_assert(XF_REQUEST_MAX <= XF_STILL_MAX, "more than is read");

static int by_gfn(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* The requested pages, ascending and each once, into x->gfns; the push order is updated. */
static int take_request(struct xf_server *s, struct scratch *x, unsigned *n, struct xf_err *err)
{
    struct xf_request *r = &x->request;
    int rc = 0;

    xf_lock(&s->lock, server_lock);
    for (uint32_t i = 0; i < r->nr && !rc; i++) {
        if (!xf_bit(s->owed, r->gfns[i]))
            rc = xf_fail(err, EPROTO, "the destination asked for gfn 0x%llx, which it had at GO",
                         (unsigned long long)r->gfns[i]);
        else
            xf_prefetch_fault(&s->order, r->gfns[i]);
    }
    xf_unlock(&s->lock, server_lock);
    if (rc)
        return rc;
    memcpy(x->gfns, r->gfns, r->nr * sizeof(r->gfns[0]));
    qsort(x->gfns, r->nr, sizeof(x->gfns[0]), by_gfn);
    *n = 0;
    for (uint32_t i = 0; i < r->nr; i++)
        if (!i || x->gfns[i] != x->gfns[*n - 1])
            x->gfns[(*n)++] = x->gfns[i];
    return 0;
}

void *xf_server_answer_main(void *arg)
{
    struct xf_server *s = arg;
    struct xf_err err = {0};
    struct xf_view *view = NULL;
    struct scratch *x = calloc(1, sizeof(*x));

    xf_urgent_thread();
    if (!x) {
        xf_fail(&err, ENOMEM, "out of memory for the answering thread");
        goto out;
    }
    if (s->vm->ops->view_open(s->vm, &view, &err))
        goto out;
    for (;;) {
        struct xf_msg m;
        unsigned n;

        if (s->link->ops->recv(s->link->urgent, &m, x->meta, -1, &err))
            break;
        if (m.type != XF_MSG_REQUEST) {
            xf_fail(&err, EPROTO, "the destination sent message %u on the urgent channel", m.type);
            break;
        }
        if (xf_request_decode(&x->request, &m, x->meta, s->vm->nr_gfns, &err) ||
            take_request(s, x, &n, &err) ||
            xf_server_send_pages(s, s->link->urgent, XF_MSG_ANSWER, view, x, n, &err))
            break;
        xf_lock(&s->lock, server_lock);
        s->status.answered += n;
        pthread_cond_broadcast(&s->push); /* an idle pusher may be watching for the end */
        xf_unlock(&s->lock, server_lock);
    }
out:
    xf_server_failed(s, &err);
    if (view)
        s->vm->ops->view_close(view);
    free(x);
    return NULL;
}
