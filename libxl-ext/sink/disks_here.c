/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The disks that move here with a guest: see disks_here.h. */
#include "libxl-ext/sink/disks_here.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libxl-ext/host/run_dir.h"
#include "transport/clock.h"

#define SLICE_MS 10

static int make_one(struct xf_disk_here *x, const struct xf_stores *allowed,
                    const struct xf_disk_plan *plan, struct xf_made *made, struct xf_err *err)
{
    struct xf_place place;

    snprintf(x->vdev, sizeof(x->vdev), "%s", plan->vdev);
    x->made = made;
    if (xf_place_choose(allowed, plan->want, plan->name, &place, err) ||
        xf_made_create(made, &place, plan->bytes, plan->sparse, &x->fd, err) ||
        xf_verify_open(&x->image, x->fd, plan->bytes, true, err) ||
        xf_serve_start(&x->serve, x->fd, plan->bytes, plan->vdev, xf_run_dir(), &x->sock, err))
        return xf_wrap(err, "disk %s", plan->vdev);
    return 0;
}

int xf_disks_here_make(struct xf_disks_here *d, const struct xf_stores *allowed,
                       const struct xf_hello *hello, struct xf_made made[XF_MOVE_DISKS_MAX],
                       struct xf_err *err)
{
    d->verify = hello->verify_disks;
    if (xf_run_dir_make(err))
        return -1;
    while (d->nr < hello->nr_disks) {
        struct xf_disk_here *x = &d->list[d->nr];

        x->fd = x->sock = x->image.fd = -1;
        x->serve = XF_SERVE_NONE;
        d->nr++;
        if (make_one(x, allowed, &hello->disks[d->nr - 1], &made[d->nr - 1], err))
            return -1;
    }
    return 0;
}

static void *answer(void *priv)
{
    struct xf_disk_here *x = priv;

    if (xf_verify_serve(&x->image, &xf_tcp_ops, x->chan, &x->why))
        atomic_store(&x->failed, true);
    return NULL;
}

static int join_verify(struct xf_disk_here *x, struct xf_chan *c, struct xf_err *err)
{
    int num;

    x->chan = c;
    num = pthread_create(&x->thread, NULL, answer, x);
    x->runs = num == 0;
    return num ? xf_fail(err, num, "cannot start a thread: %s", strerror(num)) : 0;
}

static int join_relay(struct xf_disk_here *x, struct xf_chan *c, struct xf_err *err)
{
    if (xf_relay_join(&x->relay, x->sock, &xf_tcp_ops, c, err)) {
        xf_tcp_ops.close(c);
        return -1;
    }
    x->sock = -1;
    return 0;
}

int xf_disks_here_join(struct xf_disks_here *d, struct xf_gather *g, bool *all, struct xf_err *err)
{
    unsigned each = d->verify ? 2 : 1;

    *all = true;
    for (unsigned i = 0; i < d->nr; i++) {
        struct xf_disk_here *x = &d->list[i];
        struct xf_chan *c = xf_gather_take_disk(g, each * i);

        if (c && join_relay(x, c, err))
            return -1;
        c = d->verify ? xf_gather_take_disk(g, each * i + 1) : NULL;
        if (c && join_verify(x, c, err))
            return -1;
        *all &= x->relay && (x->chan || !d->verify);
    }
    return 0;
}

static int look_at(struct xf_disk_here *x, struct xf_err *err)
{
    if (!x->complete) {
        /* First: a link that is lost ends the server, too, in good order. */
        int rc = x->relay ? xf_relay_ended(x->relay, 0, err) : XF_AGAIN;

        if (rc >= 0)
            rc = xf_serve_wait(&x->serve, 0, err);
        if (rc < 0)
            return -1;
        x->complete = rc == 0;
    }
    return atomic_load(&x->failed) ? xf_fail(err, x->why.num, "%s", x->why.text) : 0;
}

/* Not as the fault of the link, which COPY would replace: a disk's channel cannot be. */
int xf_disks_here_look(struct xf_disks_here *d, struct xf_err *err)
{
    struct xf_err why = {0};

    for (unsigned i = 0; i < d->nr; i++)
        if (look_at(&d->list[i], &why))
            return xf_fail(err, why.num, "disk %s: %s", d->list[i].vdev, why.text);
    return 0;
}

static bool all_complete(const struct xf_disks_here *d)
{
    for (unsigned i = 0; i < d->nr; i++)
        if (!d->list[i].complete)
            return false;
    return true;
}

int xf_disks_here_complete(struct xf_disks_here *d, int timeout_ms, struct xf_tick tick,
                           struct xf_err *err)
{
    int64_t until = xf_now_ms() + timeout_ms;

    while (!all_complete(d)) {
        if (xf_tick(tick, err) || xf_disks_here_look(d, err))
            return -1;
        if (xf_now_ms() > until)
            return xf_fail(err, ETIMEDOUT, "the guest's disks were not written within %d s",
                           timeout_ms / 1000);
        for (unsigned i = 0; i < d->nr; i++)
            if (!d->list[i].complete && d->list[i].relay)
                xf_relay_ended(d->list[i].relay, SLICE_MS, NULL);
    }
    for (unsigned i = 0; i < d->nr; i++) {
        if (xf_made_sync(d->list[i].made, d->list[i].fd, err))
            return xf_wrap(err, "disk %s", d->list[i].vdev);
        /* The copy's QEMU has read its beginning already. Direct writes have invalidated that. */
        (void)posix_fadvise(d->list[i].fd, 0, 0, POSIX_FADV_DONTNEED);
    }
    return 0;
}

void xf_disks_here_end(struct xf_disks_here *d)
{
    for (unsigned i = 0; i < d->nr; i++) {
        struct xf_disk_here *x = &d->list[i];

        xf_relay_close(x->relay);
        if (x->sock >= 0)
            close(x->sock);
        xf_serve_kill(&x->serve);
        if (x->runs) {
            xf_tcp_ops.abort(x->chan);
            pthread_join(x->thread, NULL);
        }
        xf_tcp_ops.close(x->chan);
        xf_verify_close(&x->image);
        if (x->fd >= 0)
            close(x->fd);
    }
    d->nr = 0;
}
