/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking a guest to suspend: see xen_suspend.h.
 *
 * libxl's operation is started asynchronously and its events are handled here, so that between them
 * Xen can be asked for the guest's state and libxl be told to give up. libxl writes "suspend" to
 * the guest's control node and waits a minute for the guest to remove it, then a minute for the
 * guest to suspend. In the first minute it does not check the guest's state, in the second only
 * when xenstore reports that some domain has ended.
 */
#include "libxl-ext/xen/xen_suspend.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libxl_event.h>
#include <xenstore.h>

#include "libxl-ext/xen/qdisk.h"
#include "libxl-ext/xen/domain_here.h"
#include "libxl-ext/xen/guest_kind.h"
#include "libxl-ext/xen/libxl_turn.h"
#include "libxl-ext/xen/pv_drivers.h"
#include "transport/clock.h"

#define LOOK_MS 100
#define LOOK_OFTEN_NS 1000000L
#define ANSWER_MS 60000 /* as libxl */
#define PAUSES_MAX 16

struct request {
    const struct xf_xen_into *into; /* NULL: only suspend */
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

/*
 * Withdraw the request. True: the guest has not seen it and never will. In a transaction, as in the
 * guest: only one of the two gets the request.
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

/* An HVM guest without PV drivers is suspended by Xen, whether its vCPUs run or not
 * (domain_suspend_callback_common(), libxl_dom_suspend.c). */
static int must_answer(const struct xf_xen_source *x, bool *must, struct xf_err *err)
{
    *must = true;
    if (!x->kind || !x->kind->device_model)
        return 0;
    return xf_has_pv_drivers(x->xch, x->domid, must, err);
}

/* A guest that is to stay paused has to run until it has answered the request, if it must. */
static int let_answer(struct xf_xen_source *x, enum xf_here here, bool must, struct xf_err *err)
{
    if (here == XF_HERE_RUNS)
        return xf_fail(err, EBUSY,
                       "the guest was paused when its move began, and has been unpaused since; "
                       "move it again");
    if (!must)
        return 0;
    /* Xen counts pauses. */
    for (int i = 0; i < PAUSES_MAX && xf_xen_here(x->xch, x->domid) == XF_HERE_PAUSED; i++)
        if (xc_domain_unpause(x->xch, x->domid))
            return xf_fail(err, errno, "cannot unpause the guest for its suspend: %s",
                           strerror(errno));
    x->unpaused = true;
    return 0;
}

static bool told_to_stop(const struct request *r)
{
    struct pollfd pf = {.fd = r->into ? r->into->leash : -1};

    return poll(&pf, 1, 0) > 0;
}

/* May libxl go on with a guest in this state? */
static bool may_wait(const struct xf_xen_source *x, enum xf_here here)
{
    return here == XF_HERE_RUNS || here == XF_HERE_SUSPENDED ||
           (here == XF_HERE_PAUSED && x->keep_paused && !x->unpaused);
}

/* Wait until libxl has finished. Returns the guest's state at that time. */
static enum xf_here await(struct xf_xen_source *x, struct request *r, const libxl_asyncop_how *how)
{
    enum xf_here here = XF_HERE_RUNS;

    while (!r->done) {
        xf_libxl_turn(x->ctx);
        if (r->aborted)
            continue;
        here = xf_xen_here(x->xch, x->domid);
        if (r->into && here == XF_HERE_SUSPENDED && *r->into->suspended_at <= 0)
            *r->into->suspended_at = xf_now();
        if (r->done || (may_wait(x, here) && !told_to_stop(r)))
            continue;
        r->aborted = true;
        libxl_ao_abort(x->ctx, how);
    }
    return r->aborted ? here : xf_xen_here(x->xch, x->domid);
}

/* It did not suspend. asked: it has to answer, was asked, and may have accepted. */
static int did_not(struct xf_xen_source *x, enum xf_here here, bool asked, const char *why,
                   struct xf_err *err)
{
    if (xf_here_lives(here) && asked)
        x->may_stop = !withdraw(x->domid);
    if (xf_here_lives(here) && x->unpaused)
        x->unpaused = xc_domain_pause(x->xch, x->domid) != 0;
    if (!may_wait(x, here))
        return stopped(here, err);
    return xf_fail(err, ETIMEDOUT,
                   "the guest did not suspend when asked (%s); is its kernel up, and does it have "
                   "Xen's suspend support?",
                   why);
}

/* May it be asked now, and must it answer? */
static int check_first(struct xf_xen_source *x, bool *must, struct xf_err *err)
{
    enum xf_here here = xf_xen_here(x->xch, x->domid);

    x->may_stop = false;
    if (x->keep_paused ? !xf_here_lives(here) : here != XF_HERE_RUNS)
        return stopped(here, err);
    if (must_answer(x, must, err))
        return -1;
    return x->keep_paused ? let_answer(x, here, *must, err) : 0;
}

static void has_suspended(struct xf_xen_source *x)
{
    if (x->on_suspended)
        x->on_suspended(x->priv);
    if (x->disks)
        xf_qdisks_flush_last(x->disks);
}

/*
 * libxl's result is not reliable. When the guest does not accept the request within 60 seconds,
 * libxl withdraws it and nevertheless reports success (domain_suspend_common_pvcontrol_suspending,
 * tools/libs/light/libxl_dom_suspend.c: rc is the result of committing its transaction); and when
 * the guest accepts it but suspends only after libxl has given up, it stays suspended with nobody
 * to resume it. So in both cases Xen itself is asked.
 */
static int by_libxl(struct xf_xen_source *x, const struct xf_xen_into *into, struct xf_err *err)
{
    struct request r = {.into = into};
    const libxl_asyncop_how how = {.callback = on_done, .u.for_callback = &r};
    enum xf_here here;
    bool begun, must;
    char why[300];

    if (check_first(x, &must, err))
        return -1;
    r.rc = into ? libxl_domain_suspend(x->ctx, x->domid, into->fd,
                                       into->live ? LIBXL_SUSPEND_LIVE : 0, &how)
                : libxl_domain_suspend_only(x->ctx, x->domid, &how);
    begun = x->asked = !r.rc;
    r.done = !begun;
    here = await(x, &r, &how);
    if (here == XF_HERE_SUSPENDED && !r.rc) {
        has_suspended(x);
        return 0;
    }
    /* 0: libxl itself has withdrawn the request. */
    if (into && may_wait(x, here) && (here == XF_HERE_SUSPENDED || told_to_stop(&r))) {
        did_not(x, here, must && begun && r.rc, "", NULL);
        return xf_fail(err, EIO, "libxl could not save the guest: %s",
                       xf_toollog_last(x->log, why, sizeof(why)));
    }
    return did_not(x, here, must && begun && r.rc, xf_toollog_last(x->log, why, sizeof(why)), err);
}

int xf_xen_suspend(struct xf_source_vm *vm, struct xf_err *err)
{
    return by_libxl((struct xf_xen_source *)vm, NULL, err);
}

int xf_xen_suspend_into(struct xf_xen_source *x, const struct xf_xen_into *into, struct xf_err *err)
{
    return by_libxl(x, into, err);
}

/* As libxl does it (libxl__domain_pvcontrol_write(), tools/libs/light/libxl_domain.c). */
static bool ask(uint32_t domid)
{
    struct xs_handle *xs = xs_open(0);
    char path[64];
    bool done;

    snprintf(path, sizeof(path), "/local/domain/%u/control/shutdown", domid);
    done = xs && xs_write(xs, XBT_NULL, path, "suspend", strlen("suspend"));
    if (xs)
        xs_close(xs);
    return done;
}

int xf_xen_suspend_guest(struct xf_source_vm *vm, struct xf_err *err)
{
    struct xf_xen_source *x = (struct xf_xen_source *)vm;
    int64_t until = xf_now_ms() + ANSWER_MS;
    enum xf_here here;
    bool must;

    if (check_first(x, &must, err))
        return -1;
    if (must ? !ask(x->domid) : xc_domain_shutdown(x->xch, x->domid, SHUTDOWN_suspend))
        return xf_fail(err, errno, "cannot ask the guest to suspend: %s", strerror(errno));
    x->asked = true;
    /* Asking Xen costs microseconds, an event of xenstore's more than the time between two looks.
     */
    while ((here = xf_xen_here(x->xch, x->domid)) != XF_HERE_SUSPENDED && may_wait(x, here) &&
           xf_now_ms() < until)
        nanosleep(&(struct timespec){.tv_nsec = LOOK_OFTEN_NS}, NULL);
    if (here != XF_HERE_SUSPENDED)
        return did_not(x, here, must, "no answer within a minute", err);
    has_suspended(x);
    return 0;
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
