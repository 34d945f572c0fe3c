/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xf_receive(): the destination of a move. Three processes:
 *
 *   guard   the process that was called; does nothing but outlive the others and clean up
 *           if the sink dies (this file)
 *   sink    owns the connections and the guest's memory (receive_sink.c)
 *   xl      the stock receiver that builds the domain (builder.c), a child of the sink
 *
 * Whichever dies before GO, another one destroys the domain: xl when the sink's end of its
 * input closes, the sink when the guard dies or the build fails, the guard when the sink
 * is dead.
 * After GO nobody destroys anything.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libxl-ext/builder.h"
#include "libxl-ext/libxl_ext.h"
#include "libxl-ext/process.h"
#include "libxl-ext/receive_sink.h"

/* How long xl may take to destroy the domain after the sink has died. */
#define ORPHAN_MS 30000

/* The sink is dead without having said how the move ended. */
static int clean_up_after(const struct xf_sink_shared *shared, struct xf_err *err)
{
    struct xf_toollog log;
    libxl_ctx *ctx = NULL;
    int rc;

    xf_toollog_init(&log);
    if (shared->committed)
        return xf_fail(err, EIO,
                       "the receiving process died after GO: domain \"%s\" is here, perhaps "
                       "paused or still named \"%s--incoming\"; see `xl list`",
                       shared->domain, shared->domain);
    /* Its xl was reparented to us and is destroying what it built. */
    if (shared->xl > 0 && !xf_reaped(shared->xl, ORPHAN_MS))
        kill(shared->xl, SIGKILL);
    xf_fail(err, EIO, "the receiving process died; the domain stays at its source");
    if (!shared->domain[0] || libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, &log.vtable))
        return -1;
    char name[sizeof(shared->domain) + 16];

    snprintf(name, sizeof(name), "%s--incoming", shared->domain);
    rc = xf_destroy_by_name(ctx, &log, name, NULL);
    libxl_ctx_free(ctx);
    return rc ? xf_wrap(err, "domain \"%s\" could not be destroyed", name) : -1;
}

int xf_receive(const struct xf_receive_opts *o, struct xf_err *err)
{
    struct xf_sink_shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct xf_builder_fds fds;
    pid_t guard = getpid(), sink;
    int status;

    if (shared == MAP_FAILED)
        return xf_fail(err, errno, "out of memory");
    if (xf_builder_pipes(&fds, err))
        return -1;
    /* Orphans of the sink become ours, so that the guard can wait for xl. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sink = fork();
    if (sink < 0)
        return xf_fail(err, errno, "cannot start the sink: %s", strerror(errno));
    if (sink == 0) {
        prctl(PR_SET_CHILD_SUBREAPER, 0);
        _exit(xf_sink_main(o, &fds, guard, shared));
    }
    /* The guard keeps only the reading end of xl's stdout: without any reader xl would stop
     * at its report and leave the domain behind (xl_migrate.c, perhaps_destroy_notify_rc). */
    close(fds.in[0]);
    close(fds.in[1]);
    close(fds.out[1]);
    close(o->in_fd);
    close(o->out_fd);
    while (waitpid(sink, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && shared->said) {
        if (shared->err.num)
            *err = shared->err;
        return WEXITSTATUS(status) ? -1 : 0;
    }
    return clean_up_after(shared, err);
}
