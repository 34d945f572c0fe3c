/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking a guest to suspend: see xen_suspend.h.
 *
 * libxl's operation is started as an asynchronous one, and its events are handled here, so that
 * between them Xen can be asked how the guest is, and libxl be told to give up. What libxl does:
 * it writes "suspend" to the guest's control node and waits a minute until the guest has taken it
 * away, then a minute until the guest has suspended. In the first of these it does not look at the
 * guest, in the second only when xenstore says that some domain has ended.
 */
#include "libxl-ext/xen/xen_suspend.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include <libxl_event.h>
#include <xenstore.h>

#include "libxl-ext/xen/qdisk.h"
#include "libxl-ext/xen/domain_here.h"
#include "transport/clock.h"

#define LOOK_MS 100
#define FDS_MAX 64

struct request {
    bool done, aborted;
    int rc; /* libxl's */
};

static void on_done(libxl_ctx *ctx, int rc, void *priv)
{
    struct request *r = priv;

    (void)ctx;
    r->rc = rc;
    r->done = true;
}

/* One turn of libxl's events, of LOOK_MS at most. */
static void turn(libxl_ctx *ctx)
{
    struct pollfd fds[FDS_MAX];
    int n = FDS_MAX, timeout = LOOK_MS;
    struct timeval now;

    gettimeofday(&now, NULL);
    if (libxl_osevent_beforepoll(ctx, &n, fds, &timeout, now))
        n = 0; /* it needs three descriptors; without any it still sees its time run out */
    if (poll(fds, (nfds_t)n, timeout) < 0)
        for (int i = 0; i < n; i++)
            fds[i].revents = 0;
    gettimeofday(&now, NULL);
    libxl_osevent_afterpoll(ctx, n, fds, now);
}

/*
 * Take the request back. True: the guest has not seen it and never will. In a transaction, as the
 * guest takes it in one: either of the two has it.
 */
static bool withdraw(uint32_t domid)
{
    struct xs_handle *xs = xs_open(0);
    bool ours = false, again = true;
    char path[64];

    snprintf(path, sizeof(path), "/local/domain/%u/control/shutdown", domid);
    while (xs && again) {
        xs_transaction_t t = xs_transaction_start(xs);
        unsigned len = 0;
        char *now;

        if (t == XBT_NULL)
            break;
        now = xs_read(xs, t, path, &len);
        ours = now && !strcmp(now, "suspend") && xs_write(xs, t, path, "", 0);
        free(now);
        again = !xs_transaction_end(xs, t, !ours) && errno == EAGAIN;
        ours = ours && !again;
    }
    if (xs)
        xs_close(xs);
    return ours;
}

static int stopped(enum xf_here here, struct xf_err *err)
{
    if (here == XF_HERE_PAUSED)
        return xf_fail(err, EBUSY,
                       "the guest was paused and cannot answer the suspend request; `xl unpause` "
                       "it, and move it again");
    return xf_fail(err, here == XF_HERE_SUSPENDED ? EBUSY : ESRCH, "the guest %s",
                   xf_here_text(here));
}

/* Until libxl has done with it. Returns how the guest was when that was clear. */
static enum xf_here await(struct xf_xen_source *x, struct request *r, const libxl_asyncop_how *how)
{
    enum xf_here here = XF_HERE_RUNS;

    while (!r->done) {
        turn(x->ctx);
        if (r->aborted)
            continue;
        here = xf_xen_here(x->xch, x->domid);
        if (r->done || here == XF_HERE_RUNS || here == XF_HERE_SUSPENDED)
            continue;
        r->aborted = true;
        libxl_ao_abort(x->ctx, how);
    }
    return r->aborted ? here : xf_xen_here(x->xch, x->domid);
}

/*
 * libxl's word is not enough. When the guest does not take the request within 60 seconds, libxl
 * withdraws it and reports success all the same (domain_suspend_common_pvcontrol_suspending,
 * tools/libs/light/libxl_dom_suspend.c: rc is what the commit of its transaction returned); and
 * when the guest takes it but suspends only after libxl has given up, it lies suspended with
 * nobody to resume it. So Xen itself is asked, both ways.
 */
int xf_xen_suspend(struct xf_source_vm *vm, struct xf_err *err)
{
    struct xf_xen_source *x = (struct xf_xen_source *)vm;
    struct request r = {0};
    const libxl_asyncop_how how = {.callback = on_done, .u.for_callback = &r};
    enum xf_here here = xf_xen_here(x->xch, x->domid);
    bool begun;
    char why[300];

    x->may_stop = false;
    if (here != XF_HERE_RUNS)
        return stopped(here, err);
    r.rc = libxl_domain_suspend_only(x->ctx, x->domid, &how);
    begun = x->asked = !r.rc;
    r.done = !begun;
    here = await(x, &r, &how);
    if (here == XF_HERE_SUSPENDED && !r.rc) {
        if (x->disks)
            xf_qdisks_flush_last(x->disks);
        return 0;
    }
    /* 0: libxl itself has taken the request back. */
    if (xf_here_lives(here) && begun && r.rc)
        x->may_stop = !withdraw(x->domid);
    if (here != XF_HERE_RUNS && here != XF_HERE_SUSPENDED)
        return stopped(here, err);
    return xf_fail(err, ETIMEDOUT,
                   "the guest did not suspend when asked (%s); is its kernel up, and does it have "
                   "Xen's suspend support?",
                   xf_toollog_last(x->log, why, sizeof(why)));
}

enum xf_here xf_xen_await_stop(struct xf_xen_source *x, int wait_ms,
                               const volatile sig_atomic_t *cancel)
{
    int64_t until = xf_now_ms() + wait_ms;
    sig_atomic_t asked = cancel ? *cancel : 0;
    enum xf_here here;

    while (xf_here_lives(here = xf_xen_here(x->xch, x->domid)) && x->may_stop &&
           xf_now_ms() < until && (!cancel || *cancel == asked))
        nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
    if (!xf_here_lives(here))
        x->may_stop = false;
    return here;
}
