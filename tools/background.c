/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two processes of --no-wait: see background.h. Standard error goes through a pipe, because the
 * command that reaches the destination (ssh) keeps it open as long as it lives: a reader of `xl
 * migrate --no-wait`'s output must see end of file when it has returned.
 */
#include "tools/background.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "tools/relay.h"

/* The signal handler can reach nothing else. */
static volatile sig_atomic_t worker;

/* A signal from the terminal has also reached the other process. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
    (void)context;
    int before = errno;

    if (worker > 0 && info->si_code <= 0)
        kill((pid_t)worker, sig);
    errno = before;
}

bool background_ignores(int sig)
{
    struct sigaction sa;

    return !sigaction(sig, NULL, &sa) && sa.sa_handler == SIG_IGN;
}

static void catch_signals(void)
{
    struct sigaction sa = {.sa_sigaction = pass_on, .sa_flags = SA_RESTART | SA_SIGINFO};

    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    if (!background_ignores(SIGHUP))
        sigaction(SIGHUP, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
}

/* Copy what can be read now; false at end of file. */
static bool copy_errors(int from)
{
    char text[4096];
    ssize_t n;

    while ((n = read(from, text, sizeof(text))) > 0)
        for (ssize_t done = 0, put; done < n; done += put)
            if ((put = write(STDERR_FILENO, text + done, (size_t)(n - done))) <= 0)
                break; /* nobody reads it; the move continues */
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Wait until it detaches or ends. */
static int wait_for(pid_t pid, int said, int word)
{
    struct pollfd fds[2] = {{.fd = word, .events = POLLIN}, {.fd = said, .events = POLLIN}};
    int status;
    char c;

    do {
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[1].revents && !copy_errors(said))
            fds[1].fd = -1;
    } while (!fds[0].revents);
    copy_errors(said);
    if (read(word, &c, 1) == 1)
        return 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    copy_errors(said); /* its last output */
    if (!WIFEXITED(status))
        relay_exit(status);
    return WEXITSTATUS(status);
}

/* Block the signals that the command must survive, from the fork until it has handlers for them. */
static void hold_signals(sigset_t *before)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, before);
}

static _Noreturn void be_worker(int (*work)(void *priv, struct background *b), void *priv,
                                pid_t parent, int said, int word)
{
    struct background b = {.word = word};
    int status;

    /* Killing the command is meant to end the move. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent || dup2(said, STDERR_FILENO) < 0)
        _exit(1);
    close(said);
    status = work(priv, &b);
    fflush(NULL);
    _exit(status);
}

int background_run(int (*work)(void *priv, struct background *b), void *priv, struct xf_err *err)
{
    int said[2], word[2], rc;
    pid_t parent = getpid(), pid;
    sigset_t before;

    if (pipe2(said, O_CLOEXEC))
        return xf_fail(err, errno, "cannot make a pipe: %s", strerror(errno));
    if (pipe2(word, O_CLOEXEC)) {
        xf_fail(err, errno, "cannot make a pipe: %s", strerror(errno));
        goto err_said;
    }
    fflush(NULL);
    hold_signals(&before);
    pid = fork();
    if (pid < 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        xf_fail(err, errno, "cannot start a process: %s", strerror(errno));
        goto err_word;
    }
    if (pid == 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        close(said[0]);
        close(word[0]);
        be_worker(work, priv, parent, said[1], word[1]);
    }
    worker = pid;
    catch_signals();
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(said[1]);
    close(word[1]);
    fcntl(said[0], F_SETFL, O_NONBLOCK);
    rc = wait_for(pid, said[0], word[0]);
    close(said[0]);
    close(word[0]);
    return rc;
err_word:
    close(word[0]);
    close(word[1]);
err_said:
    close(said[0]);
    close(said[1]);
    return -1;
}

/* The leader of a process group, which a shell makes of every command, cannot create a session. So
 * it first joins another group, whose number a child provides. */
static void change_group(void)
{
    pid_t pid = fork();

    if (pid == 0)
        for (;;)
            pause();
    if (pid < 0)
        return;
    setpgid(pid, pid);
    setpgid(0, pid);
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static void leave_session(void)
{
    int tty;

    if (setsid() >= 0)
        return;
    change_group();
    if (setsid() >= 0)
        return;
    /* This process already leads its session; give up the session's terminal, if it still
     * exists. */
    tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (tty >= 0) {
        ioctl(tty, TIOCNOTTY);
        close(tty);
    }
}

void background_detach(struct background *b, const char *name)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (b->detached)
        return;
    b->detached = true;
    leave_session();
    /* No error here justifies failing: the guest runs at the destination and needs us. */
    if (chdir("/"))
        background_log(name, "cannot leave the working directory");
    for (int fd = 0; fd < 3 && null >= 0; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
    prctl(PR_SET_PDEATHSIG, 0);
    if (b->word < 0)
        return;
    while (write(b->word, "", 1) < 0 && errno == EINTR)
        ;
    close(b->word);
}

void background_log(const char *what, const char *sentence)
{
    openlog("xenferry", LOG_PID, LOG_DAEMON); /* may be called again */
    syslog(LOG_NOTICE, "%s: %s", what, sentence);
}
