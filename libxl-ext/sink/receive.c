/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xf_receive(): the destination of a move. Three processes:
 *
 *   guard   the process that was called; only outlives the others and cleans up if the sink
 *           dies (this file)
 *   sink    owns the connections and the guest's memory (receive_sink.c)
 *   xl      the stock receiver that builds the domain (builder.c), a child of the sink
 *
 * Whichever dies before GO, another one destroys the domain: xl when the sink's end of its
 * input closes, the sink when the guard dies or the build fails, the guard when the sink
 * is dead. After GO nothing is destroyed.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libxl-ext/sink/builder.h"
#include "libxl-ext/libxl_ext.h"
#include "libxl-ext/host/process.h"
#include "libxl-ext/sink/receive_sink.h"
#include "libxl-ext/sink/refuse.h"
#include "libxl-ext/moves/status.h"
#include "libxl-ext/xen/device_model.h"
#include "transport/times.h"

/* The sink died without reporting how the move ended. */
static int clean_up_after(struct xf_sink_shared *shared, struct xf_err *err)
{
    const struct xf_incoming *copy = &shared->copy;
    struct xf_toollog log;
    libxl_ctx *ctx = NULL;
    struct xf_err left = {0};

    xf_toollog_init(&log);
    if (shared->committed)
        return xf_fail(err, EIO,
                       "the receiving process died after GO: domain \"%s\" is here, perhaps "
                       "paused or still named \"%s\"; see `xl list`",
                       copy->domain, copy->name);
    /* Its xl was reparented to us and is destroying the domain it built. */
    if (shared->xl > 0 && !xf_reaped(shared->xl, XF_UNDO_MS))
        kill(shared->xl, SIGKILL);
    xf_fail(err, EIO, "the receiving process died; the domain stays at its source");
    if (copy->domid)
        xf_device_model_forget(XF_XEN_LIB_DIR, copy->domid);
    /* No xl was started: any domain with that name belongs to somebody else. */
    if (shared->xl > 0 && !libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, &log.vtable)) {
        xf_incoming_destroy(copy, ctx, &log, &left);
        libxl_ctx_free(ctx);
    }
    for (unsigned i = 0; i < XF_MOVE_DISKS_MAX; i++)
        xf_made_remove(&shared->disks[i], &left);
    if (left.num)
        xf_wrap(err, "%s", left.text);
    return -1;
}

static int end_of(pid_t sink, struct xf_sink_shared *shared, bool replied,
                  const struct xf_receive_opts *o, struct xf_err *err)
{
    struct xf_pipe pipe = {.in = o->in_fd, .out = o->out_fd};
    siginfo_t ended;
    int status;

    /* Dead, but its pid is not yet reused: files that it left under its pid can be removed. */
    while (waitid(P_PID, (id_t)sink, &ended, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        ;
    if (!shared->said)
        xf_status_forget_sink((uint32_t)sink);
    while (waitpid(sink, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && shared->said) {
        if (shared->err.num)
            *err = shared->err;
        return WEXITSTATUS(status) ? -1 : 0;
    }
    clean_up_after(shared, err);
    if (!replied)
        xf_refuse(&pipe, shared->heard, err);
    return -1;
}

static int run_guard(const struct xf_receive_opts *o, struct xf_sink_shared *shared,
                     struct xf_builder_fds *fds, const int talk[2], struct xf_err *err)
{
    pid_t guard = getpid(), sink;
    bool replied;

    /* Orphans of the sink become ours, so that the guard can wait for xl. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sink = fork();
    if (sink < 0) {
        xf_fail(err, errno, "cannot start the sink: %s", strerror(errno));
        xf_receive_refuse(o->in_fd, o->out_fd, err);
        return -1;
    }
    if (sink == 0) {
        prctl(PR_SET_CHILD_SUBREAPER, 0);
        close(talk[0]);
        _exit(xf_sink_main(o, fds, guard, shared, talk[1]));
    }
    /* The guard keeps only the reading end of xl's stdout: without any reader xl would stop
     * at its report and leave the domain behind (xl_migrate.c, perhaps_destroy_notify_rc); and,
     * until the source has its reply, what a reply goes over. */
    close(fds->in[0]);
    close(fds->in[1]);
    close(fds->out[1]);
    close(talk[1]);
    replied = xf_sink_hear(talk[0]);
    if (replied) {
        close(o->in_fd);
        close(o->out_fd);
    }
    return end_of(sink, shared, replied, o, err);
}

int xf_receive(const struct xf_receive_opts *o, struct xf_err *err)
{
    struct xf_sink_shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct xf_builder_fds fds;
    int talk[2], rc = 0;

    if (shared == MAP_FAILED)
        rc = xf_fail(err, errno, "out of memory");
    else if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, talk))
        rc = xf_fail(err, errno, "cannot make a socket pair: %s", strerror(errno));
    else if (xf_builder_pipes(&fds, err))
        rc = -1;
    if (rc) {
        xf_receive_refuse(o->in_fd, o->out_fd, err);
        return rc;
    }
    return run_guard(o, shared, &fds, talk, err);
}
