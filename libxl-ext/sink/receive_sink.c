/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sink process: CHECK, SKELETON, COPY and SWITCH at the destination, read top to
 * bottom in run_sink(). Signals: SIGTERM, SIGINT, SIGHUP and the guard's death set a flag
 * that every wait looks at; before GO it ends the move, after GO it is ignored.
 */
#include "libxl-ext/sink/receive_sink.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libxl_utils.h>

#include "libxl-ext/xen/follow.h"
#include "libxl-ext/sink/receive_parts.h"
#include "precopy/sink.h"
#include "transport/clock.h"
#include "transport/times.h"

/* The one global of this process: a signal handler can reach nothing else. */
static volatile sig_atomic_t stop_asked;

static void ask_stop(int sig)
{
    (void)sig;
    stop_asked = 1;
}

int xf_sink_tick(void *priv, struct xf_err *err)
{
    struct sink *s = priv;

    xf_sink_tell(s, s->phase);
    if (s->go)
        return 0;
    if (stop_asked || getppid() != s->guard)
        return xf_fail(err, ECANCELED, "the receiver was told to stop");
    if (xf_pipe_dead(&s->pipe))
        return xf_fail(err, ECONNRESET, "the source has gone away");
    return 0;
}

/* Every page is in, or never was out: the guest's network comes back. Only once; if that fails
 * (s->vif), whoever calls next tries again. */
static void let_network(struct sink *s)
{
    struct xf_err why = {0};

    if (s->network_let)
        return;
    xf_clear(&s->vif);
    if (xf_hold_vif_end(&s->hold_vif, &why)) {
        xf_fail(&s->vif, why.num, "the guest runs here, but its network was not let go on: %s",
                why.text);
        return;
    }
    s->network_let = true;
    if (s->pager && s->hold_vif.nr)
        xf_pager_network(s->pager, xf_now_ns() - s->go_ns);
    if (!s->xen.leave_paused)
        xf_announce_begin(&s->announce, s->xen.domid);
}

/* In PULL: the guest depends on us, so nobody is asked whether to go on. The network need not
 * wait until the source knows that nothing is missing, and the source hears how long it did. */
static int pull_tick(void *priv, struct xf_err *err)
{
    struct sink *s = priv;

    (void)err;
    xf_sink_tell(s, s->phase);
    if (s->absent.at_go && !s->absent.nr)
        let_network(s);
    else if (!s->network_let) /* who brought it up was in dom0, and may hear of it from dmesg */
        xf_hold_vif_keep(&s->hold_vif, NULL);
    return 0;
}

/* Wait until the source has connected all channels. The listener stays for the links that may
 * replace this one, over the same transport or, in COPY, over TCP instead of RDMA; so nobody else
 * gets the port. */
static int accept_channels(struct sink *s, int within_ms, struct xf_tick tick, struct xf_err *err)
{
    int64_t until = xf_now_ms() + within_ms;
    int rc;

    while ((rc = xf_gather_step(&s->gather, 20, err)) == XF_AGAIN) {
        if (xf_tick(tick, err))
            return -1;
        if (xf_now_ms() > until)
            return xf_fail(err, ETIMEDOUT, "the source did not connect all of its channels");
    }
    if (rc)
        return -1;
    xf_gather_take(&s->gather, &s->link);
    xf_link_watch(&s->link, (struct xf_tick){xf_sink_tick, s});
    if (s->link.ops == &xf_tcp_ops)
        xf_gather_keep(&s->gather, &xf_tcp_ops);
    return 0;
}

/* --- COPY, SWITCH, FINISH --- */

/* COPY: has the source begun to connect anew? A stranger's failure is not the move's. */
static bool called(void *priv)
{
    struct sink *s = priv;

    xf_gather_step(&s->gather, 0, NULL);
    return xf_gather_called(&s->gather);
}

/* Pages are absent, and the backends are there. */
static int hold_network(struct sink *s, struct xf_err *err)
{
    if (!s->xen.vm.absent || !s->absent.nr || s->hold_vif.held)
        return 0;
    return xf_hold_vif_begin(&s->hold_vif, s->xen.domid, err);
}

static int serve_tick(void *priv, struct xf_err *err)
{
    struct sink *s = priv;

    if (xf_sink_tick(s, err) || xf_sink_build_on(s, 0, err) || xf_sink_still_there(s, err))
        return -1;
    /* Not only at GO: this is not to be downtime. */
    return s->devices ? hold_network(s, err) : 0;
}

/* The guest was renamed at the source. It has its first name until it runs, so that lock is kept.
 */
static int take_name(struct sink *s, const char *name, struct xf_err *err)
{
    struct xf_incoming_lock lock = XF_INCOMING_UNLOCKED;
    struct xf_findings found = {0};
    char host[XF_ADDR_LEN];

    xf_sink_name_source(host, sizeof(host));
    if (strcmp(name, s->shared->copy.domain) &&
        xf_incoming_lock(&lock, name, NULL, host, false, &found, err))
        return -1;
    if (found.n)
        return xf_fail(err, EEXIST, "%s", found.list[0].text);
    if (xf_follow_name(s->ctx, name, s->same_host, err)) {
        xf_incoming_unlock(&lock);
        return -1;
    }
    xf_incoming_unlock(&s->name);
    s->name = lock;
    snprintf(s->hello.domain, sizeof(s->hello.domain), "%s", name);
    return 0;
}

static int follow(void *priv, const struct xf_follow *f, struct xf_err *err)
{
    struct sink *s = priv;

    if (strcmp(f->name, s->hello.domain) && take_name(s, f->name, err))
        return -1;
    return xf_follow_online(s->ctx, &s->log, s->xen.domid, f, err);
}

/* The devices are attached meanwhile. How long it is worth waiting the source has said; it may
 * find out later than we do. */
static int relink(void *priv, struct xf_err *err)
{
    struct sink *s = priv;

    xf_link_close(&s->link);
    s->asked = false;
    return accept_channels(s, (int)s->hello.reconnect_s * 1000 + XF_LATER_MS,
                           (struct xf_tick){serve_tick, s}, err);
}

static bool devices_ready(void *priv)
{
    struct sink *s = priv;

    s->asked = s->devices;
    return s->devices;
}

/* Faults are taken from before GO on. */
static int prepare(void *priv, struct xf_err *err)
{
    struct sink *s = priv;

    xf_sink_tell(s, XF_PHASE_SWITCH);
    if (xf_qdisks_drop(&s->disks, err))
        return -1;
    if (!s->xen.vm.absent || !s->absent.nr)
        return 0;
    if (hold_network(s, err)) /* long since, unless the last pages were marked just now */
        return -1;
    if (xf_pager_new(&s->pager, &s->xen.vm, XF_SINK_STALL_MS, err))
        return -1;
    xf_pager_start(s->pager, &s->link);
    return 0;
}

static void committed(void *priv)
{
    struct sink *s = priv;

    /* In this order: should we die in between, xl is gone and the guard destroys a copy
     * that never ran. */
    xf_builder_dismiss(&s->builder);
    s->go_ns = xf_now_ns();
    s->shared->committed = true;
    s->go = true;
}

/* The guest runs; what is left costs it nothing. */
static void phase_finish(struct sink *s, struct xf_err *err)
{
    char why[300];

    if (s->builder.pid > 0)
        waitpid(s->builder.pid, NULL, 0);
    s->builder.pid = 0;
    if (libxl_domain_rename(s->ctx, s->xen.domid, s->shared->copy.name, s->hello.domain))
        xf_fail(err, EIO, "the guest runs here, but could not be renamed from \"%s\": %s",
                s->shared->copy.name, xf_toollog_last(&s->log, why, sizeof(why)));
}

/* The guest runs and depends on us: nothing but its own end, or the last page, ends this.
 * *ended: it was the first. xl's monitor destroys a domain that was shut down to be booted again,
 * and builds the new one; we only have to let go of the old. */
static int phase_pull(struct sink *s, bool *ended, struct xf_err *err)
{
    bool rdma = s->link.ops == &xf_rdma_ops;
    struct xf_rejoin r = {
        .ops = s->link.ops,
        .cfg = xf_sink_link_cfg(s, rdma),
        .addr = rdma ? NULL : xf_sink_listen_address(s),
        .port = rdma ? s->rdma_port : s->port,
        .gather = &s->gather,
        .tick = {pull_tick, s},
    };
    enum xf_pull_end end;

    xf_gather_keep(&s->gather, r.ops);
    end = xf_rejoin_take(&r, s->pager, &s->link, XF_DONE_MS, err);
    *ended = end == XF_PULL_ENDED;
    if (end == XF_PULL_FAILED) {
        /* Better still than a guest whose vCPUs get stuck one after the other. */
        xc_domain_pause(s->xch, s->xen.domid);
        return xf_wrap(err, "the guest lacks pages and was paused");
    }
    return 0;
}

/* GO has come. err: that of the unpause, if it failed. Then the guest is here all the same, and
 * somebody else may let it run: everything is done as for one that runs, and told. */
static int after_go(struct sink *s, struct xf_err *err)
{
    struct xf_err late = {0}, paused = *err;
    bool pull = s->xen.vm.absent && s->absent.at_go, ended = false;

    xf_clear(err);
    s->xen.leave_paused |= paused.num != 0;
    xf_sink_tell(s, pull ? XF_PHASE_PULL : XF_PHASE_FINISH);
    phase_finish(s, &late);
    if (pull && phase_pull(s, &ended, err))
        return -1;
    xf_sink_tell(s, XF_PHASE_FINISH);
    xf_clear(err);
    /* Of one that has ended: no paging to turn off, no network to let go on, and no name that it
     * should have. */
    if (ended)
        xf_clear(&late);
    else if (s->xen.vm.absent && s->xen.vm.pager->disable(&s->xen.vm, &late) && late.num == ESRCH)
        xf_clear(&late); /* it has ended: there is nothing to turn off */
    else
        let_network(s);
    if (!ended && s->vif.num)
        late = s->vif;
    if (paused.num)
        late = paused;
    return late.num ? xf_fail(err, late.num, "%s", late.text) : 0;
}

static int tell_source(struct sink *s, const struct xf_err *why)
{
    uint8_t meta[XF_TEXT_MAX + 64];

    if (!s->link.control)
        return -1;
    return xf_link_say(&s->link, XF_MSG_ERROR, meta, xf_text_encode(why->num, why->text, meta),
                       NULL);
}

static int run_sink(struct sink *s, struct xf_err *err)
{
    struct xf_sink_watch watch = {
        .priv = s,
        .tick = {serve_tick, s},
        .ready = devices_ready,
        .prepare = prepare,
        .follow = follow,
        .committed = committed,
        .called = called,
        .relink = relink,
    };
    bool refused = false;

    xf_toollog_init(&s->log);
    if (xf_sink_check(s, &refused, err))
        return -1;
    if (refused)
        return 0; /* the source has the findings and reports them */
    if (accept_channels(s, XF_CHANNELS_MS, (struct xf_tick){xf_sink_tick, s}, err)) {
        if (s->hello.check_only)
            xf_clear(err);
        return s->hello.check_only ? 0 : -1;
    }
    if (xf_sink_skeleton(s, err)) {
        tell_source(s, err);
        return -1;
    }
    if (!s->hello.reconnect_s)
        watch.relink = NULL;
    xf_sink_tell(s, XF_PHASE_COPY);
    switch (xf_sink_serve(&s->xen.vm, &s->link, &watch, err)) {
    case XF_SINK_RUNS:
        return after_go(s, err);
    case XF_SINK_ABORTED:
        return xf_fail(err, ECANCELED, "the source gave the move up");
    case XF_SINK_FAILED:
        break;
    }
    return -1;
}

static void free_sink(struct sink *s)
{
    struct xf_err left = {0};

    xf_announce_end(&s->announce);
    xf_pager_free(s->pager);
    s->pager = NULL;
    xf_absent_free(&s->absent);
    if (s->xen.pager)
        xf_xen_pager_close(s->xen.pager);
    xf_xen_sink_close(&s->xen);
    if (!s->go && s->ctx)
        xf_builder_undo(&s->builder, &s->shared->copy, s->ctx, &s->log, &left);
    /* Only now: whoever asked for the abort hears of its end, and of a bad one. */
    if (s->link.control && !s->go && left.num)
        tell_source(s, &left);
    else if (s->link.control && !s->go)
        xf_link_say(&s->link, XF_MSG_ABORTED, NULL, 0, NULL);
    xf_qdisks_close(&s->disks);
    xf_link_close(&s->link);
    xf_gather_unlisten(&s->gather, NULL);
    if (s->port_lock >= 0)
        close(s->port_lock);
    xf_status_close(s->status);
    xf_incoming_unlock(&s->name);
    xf_incoming_unlock(&s->lock); /* nothing of the copy is left, or it runs under its name */
    xf_hello_free(&s->hello);
    free(s->stream);
    if (s->xch)
        xc_interface_close(s->xch);
    if (s->ctx)
        libxl_ctx_free(s->ctx);
}

int xf_sink_main(const struct xf_receive_opts *o, struct xf_builder_fds *fds, pid_t guard,
                 struct xf_sink_shared *shared, int guard_fd)
{
    /* SA_RESTART: after GO a signal is nothing to us, nor shall it be to the libraries below. */
    struct sigaction sa = {.sa_handler = ask_stop, .sa_flags = SA_RESTART};
    struct xf_err err = {0};
    struct sink *s = calloc(1, sizeof(*s));
    int rc;

    if (!s)
        return 1;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    s->o = o;
    s->fds = fds;
    s->shared = shared;
    s->guard = guard;
    s->pipe = (struct xf_pipe){.in = o->in_fd, .out = o->out_fd};
    s->lock = s->name = (struct xf_incoming_lock)XF_INCOMING_UNLOCKED;
    s->port_lock = -1;
    s->guard_fd = guard_fd;
    s->builder = (struct xf_builder){.in = -1, .out = -1, .said = -1};
    rc = run_sink(s, &err);
    free_sink(s);
    free(s);
    shared->err = err;
    shared->said = true;
    return rc ? 1 : 0;
}
