/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The skeleton at the destination, built by a stock xl: see builder.h. */
#include "libxl-ext/sink/builder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "libxl-ext/libxl_ext.h"
#include "libxl-ext/host/process.h"
#include "transport/clock.h"
#include "transport/times.h"

/* xl's answer when the domain is built (tools/xl/xl_migrate.c: migrate_receiver_ready), sent
 * with its NUL. */
#define XL_READY "domain received, ready to unpause"

int xf_builder_pipes(struct xf_builder_fds *fds, struct xf_err *err)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds->in))
        return xf_fail(err, errno, "cannot make a socket pair: %s", strerror(errno));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds->out)) {
        xf_fail(err, errno, "cannot make a socket pair: %s", strerror(errno));
        close(fds->in[0]);
        close(fds->in[1]);
        return -1;
    }
    return 0;
}

int xf_builder_start(struct xf_builder *b, const struct xf_builder_fds *fds, const char *real_xl,
                     const char *xl_args, struct xf_err *err)
{
    char *argv[12];
    int argc = 0;
    char args[128], *save = NULL;

    b->in = fds->in[1];
    b->out = fds->out[0];
    b->said = memfd_create("xl", MFD_CLOEXEC);
    if (b->said < 0)
        return xf_fail(err, errno, "cannot make a file in memory: %s", strerror(errno));
    snprintf(args, sizeof(args), "%s", xl_args ? xl_args : "");
    argv[argc++] = "xl";
    argv[argc++] = "migrate-receive";
    argv[argc++] = "-p";
    for (char *a = strtok_r(args, " ", &save); a && argc < 11; a = strtok_r(NULL, " ", &save))
        argv[argc++] = a;
    argv[argc] = NULL;

    fcntl(b->in, F_SETFL, O_NONBLOCK);
    b->pid = fork();
    if (b->pid < 0) {
        b->pid = 0;
        return xf_fail(err, errno, "cannot start %s: %s", real_xl, strerror(errno));
    }
    if (b->pid == 0) {
        /* In its own process group: we handle a Ctrl-C that reaches ours. */
        setpgid(0, 0);
        dup2(fds->in[0], STDIN_FILENO);
        dup2(fds->out[1], STDOUT_FILENO);
        dup2(b->said, STDERR_FILENO);
        execv(real_xl, argv);
        dprintf(STDERR_FILENO, "cannot run %s: %s\n", real_xl, strerror(errno));
        _exit(127);
    }
    close(fds->in[0]);
    close(fds->out[1]);
    return 0;
}

/* The most informative line of its output: its first error, else its last line. */
static void last_words(struct xf_builder *b, char *out, size_t size)
{
    char buf[8192];
    ssize_t n;
    off_t end = lseek(b->said, 0, SEEK_END);
    off_t from = end > (off_t)sizeof(buf) - 1 ? end - ((off_t)sizeof(buf) - 1) : 0;
    char *save = NULL;

    snprintf(out, size, "it gave no reason");
    n = pread(b->said, buf, sizeof(buf) - 1, from);
    if (n <= 0)
        return;
    buf[n] = 0;
    /* The first error is the cause; later ones are its callers giving up. */
    for (char *line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        snprintf(out, size, "%s", line);
        if (strstr(line, "error") || strstr(line, "ERROR") || strstr(line, "cannot run"))
            break;
    }
}

static int it_failed(struct xf_builder *b, struct xf_err *err)
{
    char said[300];

    last_words(b, said, sizeof(said));
    return xf_fail(err, EIO, "xl could not build the domain: %s", said);
}

/* Read its output until `text` has passed. XF_AGAIN: not yet. */
static int listen_for(struct xf_builder *b, const char *text, size_t len, struct xf_err *err)
{
    struct pollfd pf = {.fd = b->out, .events = POLLIN};

    while (poll(&pf, 1, 0) > 0) {
        char c;
        ssize_t n = read(b->out, &c, 1);

        if (n <= 0)
            return it_failed(b, err);
        b->heard = c == text[b->heard] ? b->heard + 1 : c == text[0];
        if (b->heard == len)
            return 0;
    }
    return XF_AGAIN;
}

void xf_builder_feed(struct xf_builder *b, const void *stream, size_t len, size_t rest)
{
    b->stream = stream;
    b->rest = rest < len ? rest : len;
    b->left = len - b->rest;
    b->heard = 0;
    b->step = 0;
}

bool xf_builder_restores(const struct xf_builder *b)
{
    struct pollfd pf = {.fd = b->in};
    int unread = -1;

    /* In this order: when the last reader closes, the socket is first shut down, which is a hang-up
     * here, and then drops unread data (unix_release_sock(), Linux net/unix/af_unix.c). */
    return !b->left && !ioctl(b->in, SIOCOUTQ, &unread) && !unread && poll(&pf, 1, 0) == 0;
}

bool xf_builder_has_helper(const struct xf_builder *b)
{
    char path[64], children[32];
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", b->pid, b->pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? 0 : read(fd, children, sizeof(children));
    if (fd >= 0)
        close(fd);
    return n > 0;
}

void xf_builder_feed_last(struct xf_builder *b, const void *stream, size_t len)
{
    b->stream = stream;
    b->left = len;
    b->rest = 0;
}

void xf_builder_feed_rest(struct xf_builder *b)
{
    b->left += b->rest;
    b->rest = 0;
}

int xf_builder_step(struct xf_builder *b, int wait_ms, struct xf_err *err)
{
    static const char *const texts[] = {XF_XL_BANNER, XL_READY};
    const size_t lens[] = {strlen(XF_XL_BANNER), sizeof(XL_READY)};
    struct pollfd pf[2] = {{.fd = b->out, .events = POLLIN},
                           {.fd = b->left ? b->in : -1, .events = POLLOUT}};
    int rc = 0;

    if (b->step == 2)
        return 0;
    poll(pf, 2, wait_ms);
    if (b->left && (pf[1].revents & POLLOUT)) {
        ssize_t n = send(b->in, b->stream, b->left, MSG_NOSIGNAL);

        if (n > 0) {
            b->stream += n;
            b->left -= (size_t)n;
        } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return it_failed(b, err);
        }
    }
    while (!rc && b->step < 2) {
        rc = listen_for(b, texts[b->step], lens[b->step], err);
        if (rc == 0) {
            b->step++;
            b->heard = 0;
        }
    }
    return rc;
}

static void close_all(struct xf_builder *b)
{
    if (b->in >= 0)
        close(b->in);
    if (b->out >= 0)
        close(b->out);
    if (b->said >= 0)
        close(b->said);
    b->in = b->out = b->said = -1;
}

void xf_builder_dismiss(struct xf_builder *b)
{
    /* The order matters: once the signal is sent the stock xl executes no more instructions, so it
     * cannot see its input close and destroy the guest. */
    if (b->pid > 0)
        kill(b->pid, SIGKILL);
}

int xf_builder_undo(struct xf_builder *b, const struct xf_incoming *copy, libxl_ctx *ctx,
                    struct xf_toollog *log, struct xf_err *err)
{
    bool started = b->in >= 0;

    if (started)
        close(b->in);
    b->in = -1;
    if (b->pid > 0 && !xf_reaped(b->pid, XF_UNDO_MS)) {
        kill(b->pid, SIGKILL);
        xf_reaped(b->pid, 5000);
    }
    b->pid = 0;
    close_all(b);
    return started ? xf_incoming_destroy(copy, ctx, log, err) : 0;
}
