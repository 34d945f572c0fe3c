/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libxl's own stream of a domain: see xen_stream.h. */
#include "libxl-ext/xen/xen_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libxl-ext/host/process.h"
#include "libxl-ext/xen/xen_suspend.h"

/* For libxl to give up; it kills its helper, and does not wait for the guest. */
#define GIVE_UP_MS 10000

struct xf_xen_stream_said {
    volatile double suspended_at;
    volatile bool done; /* the others are final */
    bool asked, may_stop, unpaused;
    struct xf_err err;
};

/* In the child. None of the parent's handles may be used. */
static int save(const struct xf_xen_source *parent, struct xf_xen_stream_said *said,
                const struct xf_xen_into *into)
{
    struct xf_toollog log;
    struct xf_xen_source x = {.kind = parent->kind,
                              .domid = parent->domid,
                              .log = &log,
                              .keep_paused = parent->keep_paused};
    int rc;

    xf_toollog_init(&log);
    if (libxl_ctx_alloc(&x.ctx, LIBXL_VERSION, 0, &log.vtable) ||
        !(x.xch = xc_interface_open(&log.vtable, &log.vtable, 0)))
        rc = xf_fail(&said->err, EIO, "cannot talk to Xen");
    else
        rc = xf_xen_suspend_into(&x, into, &said->err);
    said->asked = x.asked;
    said->may_stop = x.may_stop;
    said->unpaused = x.unpaused;
    said->done = true;
    return rc;
}

/* Close everything but the standard descriptors and these two: what is open here would keep the
 * peer from noticing that the parent has died. */
static void close_others(int a, int b)
{
    unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);

    if (low > 3)
        close_range(3, low - 1, 0);
    if (high > low + 1)
        close_range(low + 1, high - 1, 0);
    close_range(high + 1, ~0u, 0);
}

static _Noreturn void be_child(const struct xf_xen_source *x, struct xf_xen_stream_said *said,
                               int fd, int leash, bool live)
{
    const struct xf_xen_into into = {
        .fd = fd, .live = live, .leash = leash, .suspended_at = &said->suspended_at};

    /* In its own process group: the parent handles a Ctrl-C. */
    setpgid(0, 0);
    libxl_postfork_child_noexec(x->ctx);
    close_others(fd, leash);
    _exit(save(x, said, &into) ? 1 : 0);
}

static void free_all(struct xf_xen_stream *s)
{
    if (s->fd >= 0)
        close(s->fd);
    if (s->leash >= 0)
        close(s->leash);
    if (s->said)
        munmap(s->said, sizeof(*s->said));
    *s = (struct xf_xen_stream)XF_XEN_STREAM_NONE;
}

int xf_xen_stream_begin(struct xf_xen_stream *s, struct xf_xen_source *x, bool live,
                        struct xf_err *err)
{
    int stream[2], leash[2];
    void *said;

    *s = (struct xf_xen_stream)XF_XEN_STREAM_NONE;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream))
        return xf_fail(err, errno, "cannot make a socket pair: %s", strerror(errno));
    s->fd = stream[0];
    if (pipe2(leash, O_CLOEXEC)) {
        xf_fail(err, errno, "cannot make a pipe: %s", strerror(errno));
        goto fail;
    }
    s->leash = leash[1];
    said = mmap(NULL, sizeof(*s->said), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (said != MAP_FAILED)
        s->said = said;
    s->child = s->said ? fork() : -1;
    if (s->child == 0)
        be_child(x, s->said, stream[1], leash[0], live);
    close(leash[0]);
    if (s->child < 0) {
        xf_fail(err, errno, "cannot start a process: %s", strerror(errno));
        goto fail;
    }
    close(stream[1]);
    fcntl(s->fd, F_SETFL, O_NONBLOCK);
    return 0;
fail:
    close(stream[1]);
    free_all(s);
    return -1;
}

double xf_xen_stream_suspended_at(const struct xf_xen_stream *s)
{
    return s->said ? s->said->suspended_at : 0;
}

int xf_xen_stream_end(struct xf_xen_stream *s, struct xf_xen_source *x, struct xf_err *err)
{
    bool whole;

    if (s->child <= 0)
        return -1;
    close(s->leash);
    close(s->fd);
    s->leash = s->fd = -1;
    if (!xf_reaped(s->child, GIVE_UP_MS)) {
        kill(-s->child, SIGKILL); /* with libxl's helper */
        xf_reaped(s->child, GIVE_UP_MS);
    }
    whole = s->said->done && !s->said->err.num;
    if (s->said->done) {
        x->asked = s->said->asked;
        x->may_stop = s->said->may_stop;
        x->unpaused = s->said->unpaused;
    } else {
        x->asked = true; /* it may have asked */
        x->unpaused = x->keep_paused;
    }
    if (!whole)
        xf_fail(err, s->said->err.num ? s->said->err.num : EIO, "%s",
                s->said->err.num ? s->said->err.text : "the process that saves the guest died");
    free_all(s);
    return whole ? 0 : -1;
}
