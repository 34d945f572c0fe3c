/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sink process: a move from the destination's side, phase by phase. run_sink() reads top to
 * bottom; each phase has its own file (receive_parts.h).
 */
#include "libxl-ext/sink/receive_sink.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "libxl-ext/moves/slot.h"
#include "libxl-ext/sink/receive_parts.h"
#include "transport/speed.h"
#include "transport/times.h"

/* From the channels to GO. */
static enum xf_sink_end receive(struct sink *s, struct xf_err *err)
{
    if (s->check.hello.cold)
        return xf_sink_cold(s, err);
    if (s->check.hello.nr_disks && xf_sink_disks(s, err)) {
        xf_sink_tell_source(s, err);
        return XF_SINK_FAILED;
    }
    if (!xf_sink_skeleton(s, err))
        return xf_sink_copy(s, err);
    xf_sink_tell_source(s, err);
    return XF_SINK_FAILED;
}

static int run_sink(struct sink *s, struct xf_err *err)
{
    bool refused = false;

    xf_toollog_init(&s->log);
    if (xf_sink_check(s, &refused, err))
        return -1;
    if (refused)
        return 0; /* the source has the findings and reports them */
    if (xf_sink_accept(s, XF_CHANNELS_MS, (struct xf_tick){xf_sink_tick, s}, err)) {
        if (s->check.hello.check_only)
            xf_clear(err);
        return s->check.hello.check_only ? 0 : -1;
    }
    if (s->check.hello.check_only)
        return xf_speed_serve(&s->link, XF_PROBE_MS, (struct xf_tick){xf_sink_tick, s}, err);
    switch (receive(s, err)) {
    case XF_SINK_RUNS:
        return xf_sink_finish(s, err);
    case XF_SINK_ABORTED:
        return xf_fail(err, ECANCELED, "the source gave up the move");
    case XF_SINK_FAILED:
        break;
    }
    return -1;
}

/* What was made here for the guest's disks, unless it has them now. */
static void remove_disks(struct sink *s, struct xf_err *left)
{
    for (unsigned i = 0; !s->go && i < XF_MOVE_DISKS_MAX; i++)
        xf_made_remove(&s->shared->disks[i], left);
}

static void free_sink(struct sink *s)
{
    struct xf_err left = {0};

    xf_disks_here_end(&s->disks);

    xf_announce_end(&s->net.announce);
    xf_pager_free(s->pull.pager);
    s->pull.pager = NULL;
    xf_absent_free(&s->pull.absent);
    if (s->xen.pager)
        xf_xen_pager_close(s->xen.pager);
    xf_xen_sink_close(&s->xen);
    xf_device_model_end(&s->build.dm);
    if (!s->go && s->ctx)
        xf_builder_undo(&s->build.builder, &s->shared->copy, s->ctx, &s->log, &left);
    remove_disks(s, &left);
    /* Only now: the answer to an abort says that it is complete, or how it failed. */
    if (s->link.control && !s->go && left.num)
        xf_sink_tell_source(s, &left);
    else if (s->link.control && !s->go)
        xf_link_say(&s->link, XF_MSG_ABORTED, NULL, 0, NULL);
    xf_qdisks_close(&s->build.disks);
    xf_link_close(&s->link);
    xf_gather_unlisten(&s->gather, NULL);
    if (s->check.port_lock >= 0)
        close(s->check.port_lock);
    xf_status_close(s->show.status);
    xf_incoming_unlock(&s->copy.name);
    xf_incoming_unlock(&s->check.lock); /* nothing of the copy remains, or it runs under its name */
    xf_hello_free(&s->check.hello);
    free(s->build.stream);
    xf_slot_give(&s->check.slot);
    if (s->xch)
        xc_interface_close(s->xch);
    if (s->ctx)
        libxl_ctx_free(s->ctx);
}

int xf_sink_main(const struct xf_receive_opts *o, struct xf_builder_fds *fds, pid_t guard,
                 struct xf_sink_shared *shared, int guard_fd)
{
    struct xf_err err = {0};
    struct sink *s = calloc(1, sizeof(*s));
    int rc;

    if (!s)
        return 1;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    xf_sink_signals();
    s->o = o;
    s->fds = fds;
    s->shared = shared;
    s->guard = guard;
    s->pipe = (struct xf_pipe){.in = o->in_fd, .out = o->out_fd};
    s->check.lock = s->copy.name = (struct xf_incoming_lock)XF_INCOMING_UNLOCKED;
    s->check.port_lock = s->check.slot = -1;
    s->guard_fd = guard_fd;
    s->build.dm = (struct xf_device_model)XF_DEVICE_MODEL_NONE;
    s->build.builder = (struct xf_builder){.in = -1, .out = -1, .said = -1};
    rc = run_sink(s, &err);
    free_sink(s);
    free(s);
    shared->err = err;
    shared->said = true;
    return rc ? 1 : 0;
}
