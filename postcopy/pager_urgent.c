/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pager's thread, between the guest and the urgent channel: it takes the guest's faults,
 * requests the pages, and puts in the answers. While there is no link it still takes faults; over
 * the next one every page that is waited for is requested again.
 */
#include "postcopy/pager_parts.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "postcopy/urgent.h"

/* Request the pages that are waited for and have not been requested yet. */
static int ask(struct xf_pager *p, struct xf_chan *urgent, struct scratch *x, struct xf_err *err)
{
    struct xf_request r;
    struct xf_msg m = {.type = XF_MSG_REQUEST};

    do {
        r.nr = 0;
        xf_lock(&p->lock, pager_lock);
        for (unsigned i = 0; i < p->nr_waits && p->nr_new && r.nr < XF_REQUEST_MAX; i++) {
            if (p->waits[i].asked)
                continue;
            p->waits[i].asked = true;
            p->nr_new--;
            r.gfns[r.nr++] = p->waits[i].gfn;
        }
        p->requested += r.nr;
        xf_unlock(&p->lock, pager_lock);
        if (!r.nr)
            return 0;
        m.meta_len = (uint32_t)xf_request_encode(&r, x->meta);
        if (p->link->ops->send(urgent, &m, x->meta, NULL, 0, err))
            return -1;
    } while (r.nr == XF_REQUEST_MAX);
    return 0;
}

/* Take the answers that have arrived. */
static int take_answers(struct xf_pager *p, struct xf_chan *urgent, struct scratch *x,
                        struct xf_err *err)
{
    for (;;) {
        struct xf_msg m;
        int rc = p->link->ops->recv(urgent, &m, x->meta, 0, err);

        if (rc)
            return rc == XF_AGAIN ? 0 : -1;
        if (m.type != XF_MSG_ANSWER)
            return xf_fail(err, EPROTO, "the source sent message %u on the urgent channel", m.type);
        if (xf_pager_take(p, urgent, &m, x, err))
            return -1;
    }
}

/* Give the urgent channel back if that was requested, or after it failed. */
static void leave_urgent(struct xf_pager *p, bool failed)
{
    xf_lock(&p->lock, pager_lock);
    if (p->take_back || failed) {
        p->urgent = NULL;
        p->take_back = false;
        for (unsigned i = 0; i < p->nr_waits; i++)
            p->waits[i].asked = false;
        p->nr_new = p->nr_waits;
        pthread_cond_broadcast(&p->idle);
    }
    xf_unlock(&p->lock, pager_lock);
}

/* Wait for a fault, an answer, or a nudge by the caller. */
static void wait_for_work(struct xf_pager *p, struct xf_chan *urgent)
{
    struct pollfd fds[3] = {{.fd = p->vm->pager->fault_fd(p->vm), .events = POLLIN},
                            {.fd = p->wake, .events = POLLIN},
                            {.fd = -1, .events = POLLIN}};
    bool ready = false;
    uint64_t n;

    if (urgent)
        fds[2].fd = p->link->ops->pollfd(urgent, &ready);
    poll(fds, 3, ready ? 0 : -1);
    if ((fds[1].revents & POLLIN) && read(p->wake, &n, sizeof(n)) < 0)
        return;
}

void *xf_pager_main(void *arg)
{
    struct xf_pager *p = arg;
    struct xf_err err = {0};
    struct scratch *x = p->scratch;

    xf_urgent_thread();
    for (;;) {
        struct xf_err link_err = {0};
        struct xf_chan *urgent;
        bool stop, take_back;

        xf_lock(&p->lock, pager_lock);
        urgent = p->urgent;
        take_back = p->take_back;
        stop = p->stop;
        xf_unlock(&p->lock, pager_lock);
        if (take_back)
            leave_urgent(p, false);
        if (stop)
            break;
        if (take_back)
            continue;
        wait_for_work(p, urgent);
        if (xf_pager_drain_faults(p, &err))
            break;
        if (!urgent)
            continue;
        if (ask(p, urgent, x, &link_err) || take_answers(p, urgent, x, &link_err)) {
            if (xf_pager_is_ours(&link_err)) {
                err = link_err;
                break;
            }
            xf_pager_set_lost(p, &link_err);
            leave_urgent(p, true);
        }
    }
    if (err.num)
        xf_pager_set_error(p, &err);
    xf_lock(&p->lock, pager_lock);
    p->over = true;
    xf_unlock(&p->lock, pager_lock);
    leave_urgent(p, true);
    return NULL;
}
