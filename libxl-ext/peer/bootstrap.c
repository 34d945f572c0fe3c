/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bootstrap pipe: bytes, frames, the process behind it. The frames' JSON is in hello.c. */
#include "libxl-ext/peer/bootstrap.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libxl-ext/peer/hello.h"
#include "libxl-ext/host/process.h"
#include "libxl-ext/host/secret.h"
#include "transport/clock.h"

#define NOISE_MAX 65536
#define SLICE_MS 100

int xf_pipe_spawn(struct xf_pipe *p, const char *rune, struct xf_err *err)
{
    int to[2], from[2];
    pid_t pid;

    if (pipe2(to, O_CLOEXEC))
        return xf_fail(err, errno, "cannot make a pipe: %s", strerror(errno));
    if (pipe2(from, O_CLOEXEC)) {
        xf_fail(err, errno, "cannot make a pipe: %s", strerror(errno));
        goto err_to;
    }
    pid = fork();
    if (pid < 0) {
        xf_fail(err, errno, "cannot start a process: %s", strerror(errno));
        goto err_from;
    }
    if (pid == 0) {
        dup2(to[0], STDIN_FILENO);
        dup2(from[1], STDOUT_FILENO);
        signal(SIGPIPE, SIG_DFL);
        signal(SIGTTOU, SIG_DFL);
        signal(SIGXFSZ, SIG_DFL);
        /* Ctrl-C reaches the whole process group. The pipe must outlive it, or the peer could
         * not be told to clean up; ssh still honours it while it asks for a password. */
        signal(SIGINT, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        execl("/bin/sh", "sh", "-c", rune, (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    *p = (struct xf_pipe){.in = from[0], .out = to[1], .child = pid};
    return 0;
err_from:
    close(from[0]);
    close(from[1]);
err_to:
    close(to[0]);
    close(to[1]);
    return -1;
}

void xf_pipe_close(struct xf_pipe *p, int wait_ms)
{
    if (p->out >= 0)
        close(p->out);
    if (p->in >= 0 && p->in != p->out)
        close(p->in);
    p->in = p->out = -1;
    if (p->child > 0 && !xf_reaped(p->child, wait_ms)) {
        kill(p->child, SIGTERM);
        if (!xf_reaped(p->child, 2000)) {
            kill(p->child, SIGKILL);
            xf_reaped(p->child, 2000);
        }
    }
    p->child = 0;
}

void xf_pipe_hang_up(struct xf_pipe *p)
{
    if (p->out >= 0)
        close(p->out);
    p->out = -1;
}

bool xf_pipe_dead(const struct xf_pipe *p)
{
    struct pollfd in = {.fd = p->in, .events = POLLIN};
    struct pollfd out = {.fd = p->out, .events = 0};
    char c;

    if (poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP)))
        return true;
    if (poll(&in, 1, 0) <= 0)
        return false;
    if (in.revents & (POLLERR | POLLNVAL))
        return true;
    /* No more data is expected on the pipe, so if it is readable it has ended. A stray byte (a
     * talkative transport command) is discarded. */
    return read(p->in, &c, 1) == 0;
}

/* Read what is available, 1 to len bytes; until: deadline, xf_now_ms(). Returns the bytes read, or
 * -1. */
static ssize_t read_some(int fd, void *buf, size_t len, int64_t until,
                         const volatile sig_atomic_t *cancel, struct xf_err *err)
{
    for (;;) {
        struct pollfd pf = {.fd = fd, .events = POLLIN};
        ssize_t got;

        if (cancel && *cancel)
            return xf_fail(err, ECANCELED, "interrupted");
        if (xf_now_ms() > until)
            return xf_fail(err, ETIMEDOUT, "the peer did not answer in time");
        if (poll(&pf, 1, SLICE_MS) <= 0)
            continue;
        got = read(fd, buf, len);
        if (got > 0)
            return got;
        if (got == 0)
            return xf_fail(err, ECONNRESET, "the connection to the peer was closed");
        if (errno != EINTR && errno != EAGAIN)
            return xf_fail(err, errno, "cannot read from the peer: %s", strerror(errno));
    }
}

/* Read exactly len bytes. */
static int read_all(int fd, void *buf, size_t len, int timeout_ms,
                    const volatile sig_atomic_t *cancel, struct xf_err *err)
{
    int64_t until = xf_now_ms() + timeout_ms;
    uint8_t *at = buf;

    while (len) {
        ssize_t got = read_some(fd, at, len, until, cancel, err);

        if (got < 0)
            return -1;
        at += got;
        len -= (size_t)got;
    }
    return 0;
}

static int write_all(int fd, const void *buf, size_t len, struct xf_err *err)
{
    const uint8_t *at = buf;

    while (len) {
        ssize_t put = write(fd, at, len);

        if (put < 0) {
            if (errno == EINTR)
                continue;
            return xf_fail(err, errno, "cannot write to the peer: %s", strerror(errno));
        }
        at += put;
        len -= (size_t)put;
    }
    return 0;
}

int xf_pipe_await_banner(struct xf_pipe *p, int timeout_ms, const volatile sig_atomic_t *cancel,
                         struct xf_err *err)
{
    const char *banner = XF_XL_BANNER;
    size_t len = strlen(banner), have = 0;
    int64_t until = xf_now_ms() + timeout_ms;

    /* Never read more than the banner still lacks: data after it must stay in the pipe. Its first
     * byte occurs in it only once, so a mismatch restarts at most there. */
    for (size_t noise = 0; have < len;) {
        char text[sizeof(XF_XL_BANNER)];
        ssize_t got;

        if (noise > NOISE_MAX)
            return xf_fail(err, EPROTO, "the receiver sent other text instead of its banner");
        got = read_some(p->in, text, len - have, until, cancel, err);
        if (got < 0)
            return -1;
        noise += (size_t)got;
        for (ssize_t i = 0; i < got; i++) {
            if (text[i] == banner[have])
                have++;
            else
                have = text[i] == banner[0] ? 1 : 0;
        }
    }
    return 0;
}

static int frame_send(struct xf_pipe *p, const char *text, struct xf_err *err)
{
    uint32_t len = (uint32_t)strlen(text);
    uint32_t le = htole32(len);

    if (len > XF_FRAME_MAX)
        return xf_fail(err, EMSGSIZE, "the domain's description is too long (%u bytes)", len);
    if (write_all(p->out, &le, sizeof(le), err))
        return -1;
    return write_all(p->out, text, len, err);
}

/* *text is malloc()ed and ends with a NUL that *len does not count. */
static int frame_receive(struct xf_pipe *p, char **text, size_t *len, int timeout_ms,
                         const volatile sig_atomic_t *cancel, struct xf_err *err)
{
    uint32_t le;

    if (read_all(p->in, &le, sizeof(le), timeout_ms, cancel, err))
        return -1;
    *len = le32toh(le);
    if (*len == 0 || *len > XF_FRAME_MAX)
        return xf_fail(err, EPROTO, "the peer announced a message of an invalid length (%zu bytes)",
                       *len);
    *text = calloc(1, *len + 1);
    if (!*text)
        return xf_fail(err, ENOMEM, "out of memory");
    if (read_all(p->in, *text, *len, timeout_ms, cancel, err)) {
        xf_secret_free(*text, *len); /* an incomplete hello may contain its key */
        return -1;
    }
    return 0;
}

int xf_hello_send(struct xf_pipe *p, const struct xf_hello *h, struct xf_err *err)
{
    struct xf_build b = h->build.newest ? h->build : xf_build_here();
    char preamble[XF_PREAMBLE_BYTES] = {0};
    char *json = xf_hello_format(h);
    int rc;

    if (!json)
        return xf_fail(err, ENOMEM, "out of memory");
    /* The versions once more, for a peer that cannot parse the hello. */
    snprintf(preamble, sizeof(preamble), XF_PREAMBLE "versions %u to %u\n", b.oldest, b.newest);
    rc = write_all(p->out, preamble, sizeof(preamble), err) || frame_send(p, json, err);
    xf_secret_free(json, strlen(json));
    return rc ? -1 : 0;
}

int xf_hello_receive(struct xf_pipe *p, struct xf_hello *h, int timeout_ms, struct xf_err *err)
{
    char preamble[XF_PREAMBLE_BYTES], *json;
    size_t len;
    int rc;

    if (read_all(p->in, preamble, sizeof(preamble), timeout_ms, NULL, err))
        return -1;
    if (memcmp(preamble, XF_PREAMBLE, strlen(XF_PREAMBLE)))
        return xf_fail(err, EPROTO, "the source does not speak this protocol");
    if (frame_receive(p, &json, &len, timeout_ms, NULL, err))
        return -1;
    rc = xf_hello_parse(json, len, h, err);
    xf_secret_free(json, len);
    return rc;
}

int xf_reply_send(struct xf_pipe *p, const struct xf_reply *r, struct xf_err *err)
{
    char *json = xf_reply_format(r);
    int rc;

    if (!json)
        return xf_fail(err, ENOMEM, "out of memory");
    rc = frame_send(p, json, err);
    free(json);
    return rc;
}

int xf_reply_receive(struct xf_pipe *p, struct xf_reply *r, int timeout_ms,
                     const volatile sig_atomic_t *cancel, struct xf_err *err)
{
    char *json;
    size_t len;
    int rc;

    if (frame_receive(p, &json, &len, timeout_ms, cancel, err))
        return -1;
    rc = xf_reply_parse(json, len, r, err);
    free(json);
    return rc;
}

void xf_boot_id(char out[XF_BOOT_ID])
{
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

    out[0] = 0;
    if (!f)
        return;
    if (!fgets(out, XF_BOOT_ID, f))
        out[0] = 0;
    out[strcspn(out, "\n")] = 0;
    fclose(f);
}
