/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Running another program as if it had replaced us, minus the bytes that it would write a second
 * time.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/relay.h"

struct relay {
    int in;           /* the program's output; -1: ended */
    bool out_broken;  /* nobody reads ours any more */
    const char *drop; /* bytes still to be matched before anything is passed on */
    size_t drop_len;
    size_t seen; /* number of bytes already matched and held back */
};

static void put(struct relay *r, const char *buf, size_t len)
{
    while (len && !r->out_broken) {
        ssize_t n = write(STDOUT_FILENO, buf, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            /* Someone made the shared descriptor non-blocking: wait for room. */
            struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
            poll(&p, 1, -1);
            continue;
        }
        if (n < 0) {
            r->out_broken = true;
            break;
        }
        buf += n;
        len -= (size_t)n;
    }
}

/* Remove the leading bytes, or write those held back once the output proves different. */
static void pass(struct relay *r, const char *buf, size_t len)
{
    while (len && r->drop) {
        if (*buf == r->drop[r->seen]) {
            buf++;
            len--;
            if (++r->seen == r->drop_len)
                r->drop = NULL;
        } else {
            put(r, r->drop, r->seen);
            r->drop = NULL;
        }
    }
    put(r, buf, len);
}

static void stop_reading(struct relay *r)
{
    if (r->in >= 0)
        close(r->in);
    r->in = -1;
}

/* Pass on what is available; false when there is no more for now. */
static bool take(struct relay *r)
{
    char buf[65536];
    ssize_t n;

    if (r->in < 0)
        return false;
    n = read(r->in, buf, sizeof(buf));
    if (n < 0 && errno == EINTR)
        return true;
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n > 0)
        pass(r, buf, (size_t)n);
    /* If nobody reads our output, the program must find its own closed, as it would without us. */
    if (n <= 0 || r->out_broken)
        stop_reading(r);
    return r->in >= 0;
}

static void passed_on(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

static _Noreturn void become(const char *path, char *const argv[], int out, const sigset_t *mask)
{
    if (dup2(out, STDOUT_FILENO) >= 0) {
        signal(SIGPIPE, SIG_DFL);
        sigprocmask(SIG_SETMASK, mask, NULL);
        execv(path, argv);
    }
    dprintf(STDERR_FILENO, "xl: cannot run %s: %s\n", path, strerror(errno));
    _exit(127);
}

/* Relay until the program has ended. Children it left may hold its output open; their later output
 * is ignored, as when a shell waits only for the program. */
static int serve(struct relay *r, pid_t pid, int pidfd, int sigfd)
{
    struct pollfd p[] = {{.fd = r->in, .events = POLLIN},
                         {.fd = pidfd, .events = POLLIN},
                         {.fd = sigfd, .events = POLLIN}};
    int status;

    while (!(p[1].revents & POLLIN)) {
        p[0].fd = r->in;
        if (poll(p, 3, -1) < 0)
            continue; /* EINTR; nothing else can happen to these three */
        if (p[2].revents & POLLIN) {
            struct signalfd_siginfo si;
            if (read(sigfd, &si, sizeof(si)) == (ssize_t)sizeof(si))
                kill(pid, (int)si.ssi_signo);
        }
        if (p[0].revents)
            take(r);
    }
    while (take(r))
        ;
    if (r->drop && r->seen)
        put(r, r->drop, r->seen);
    stop_reading(r);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 127 << 8;
    return status;
}

int relay_run(const char *path, char *const argv[], const char *drop, size_t drop_len,
              struct xf_err *err)
{
    struct relay r = {.in = -1, .drop = drop_len ? drop : NULL, .drop_len = drop_len};
    int out[2], pidfd = -1, sigfd = -1, null, rc = -1;
    sigset_t forwarded, mask;
    pid_t pid;

    if (pipe2(out, O_CLOEXEC))
        return xf_fail(err, errno, "cannot make a pipe: %s", strerror(errno));
    r.in = out[0];
    signal(SIGPIPE, SIG_IGN);
    passed_on(&forwarded);
    sigprocmask(SIG_BLOCK, &forwarded, &mask);
    sigfd = signalfd(-1, &forwarded, SFD_CLOEXEC);
    null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pid = sigfd < 0 || null < 0 ? -1 : fork();
    if (!pid)
        become(path, argv, out[1], &mask);
    if (pid > 0)
        pidfd = pidfd_open(pid, 0);
    if (pidfd < 0) {
        xf_fail(err, errno, "cannot start %s: %s", path, strerror(errno));
        if (pid > 0) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
        }
    }
    close(out[1]);
    if (pidfd >= 0) {
        /* If the program closes its input the other side must notice, so give up ours. */
        dup2(null, STDIN_FILENO);
        fcntl(r.in, F_SETFL, O_NONBLOCK);
        rc = serve(&r, pid, pidfd, sigfd);
        close(pidfd);
    }
    stop_reading(&r);
    if (null >= 0)
        close(null);
    if (sigfd >= 0)
        close(sigfd);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    return rc;
}

_Noreturn void relay_exit(int status)
{
    if (WIFSIGNALED(status)) {
        /* The program has already dumped core if necessary. */
        const struct rlimit none = {0, 0};
        sigset_t all;

        setrlimit(RLIMIT_CORE, &none);
        signal(WTERMSIG(status), SIG_DFL);
        sigfillset(&all);
        sigprocmask(SIG_UNBLOCK, &all, NULL);
        kill(getpid(), WTERMSIG(status));
    }
    exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}
