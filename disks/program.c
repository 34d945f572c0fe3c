/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A short run of another program: see program.h. */
#include "disks/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "transport/clock.h"
#include "transport/text.h"

#define NOT_FOUND 127

void xf_program_child(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_DFL);
    setenv("PATH", XF_PROGRAM_PATH, 1);
    setenv("LC_ALL", "C", 1);
}

static void child(const char *const argv[], int out, int complaints)
{
    int null = open("/dev/null", O_RDWR);

    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        dup2(complaints, STDERR_FILENO) < 0)
        _exit(NOT_FOUND);
    xf_program_child();
    execvp(argv[0], (char *const *)argv);
    _exit(NOT_FOUND);
}

struct stream {
    int fd; /* -1: it has ended */
    char *text;
    size_t len, size;
};

/* What does not fit is read all the same, so that the program goes on. */
static void take(struct stream *s)
{
    char more[512];
    ssize_t n = read(s->fd, more, sizeof(more));
    size_t room = s->size - 1 - s->len;

    if (n < 0 && errno == EINTR)
        return;
    if (n <= 0) {
        close(s->fd);
        s->fd = -1;
        return;
    }
    if ((size_t)n < room)
        room = (size_t)n;
    memcpy(s->text + s->len, more, room);
    s->len += room;
    s->text[s->len] = 0;
}

/* Until both have ended; false: not within the limit. */
static bool read_both(struct stream s[2], int64_t until)
{
    while (s[0].fd >= 0 || s[1].fd >= 0) {
        struct pollfd p[2] = {{.fd = s[0].fd, .events = POLLIN}, {.fd = s[1].fd, .events = POLLIN}};
        int64_t left = until - xf_now_ms();

        if (left <= 0 || (poll(p, 2, (int)left) < 0 && errno != EINTR))
            return false;
        for (int i = 0; i < 2; i++)
            if (s[i].fd >= 0 && p[i].revents)
                take(&s[i]);
    }
    return true;
}

static int judge(const char *name, int status, bool in_time, char *said, struct xf_err *err)
{
    if (!in_time)
        return xf_fail(err, ETIMEDOUT, "%s did not end in time", name);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_FOUND && !said[0])
        return xf_fail(err, ENOENT, "%s is not installed", name);
    if (WIFEXITED(status) && !WEXITSTATUS(status))
        return 0;
    said[strcspn(said, "\n")] = 0;
    xf_text_clean(said);
    return xf_fail(err, EIO, "%s failed%s%.200s", name, said[0] ? ": " : "", said);
}

int xf_program_run(const char *const argv[], int limit_ms, char out[XF_PROGRAM_OUT],
                   struct xf_err *err)
{
    int to[2], complain[2], status = 0;
    char said[XF_PROGRAM_OUT] = "";
    bool in_time;
    pid_t pid;

    out[0] = 0;
    if (pipe2(to, O_CLOEXEC))
        return xf_fail(err, errno, "cannot make a pipe: %s", strerror(errno));
    if (pipe2(complain, O_CLOEXEC)) {
        xf_fail(err, errno, "cannot make a pipe: %s", strerror(errno));
        close(to[0]);
        close(to[1]);
        return -1;
    }
    pid = fork();
    if (pid == 0)
        child(argv, to[1], complain[1]);
    close(to[1]);
    close(complain[1]);
    struct stream s[2] = {{.fd = to[0], .text = out, .size = XF_PROGRAM_OUT},
                          {.fd = complain[0], .text = said, .size = sizeof(said)}};
    if (pid < 0) {
        xf_fail(err, errno, "cannot start %s: %s", argv[0], strerror(errno));
        close(to[0]);
        close(complain[0]);
        return -1;
    }
    in_time = read_both(s, xf_now_ms() + limit_ms);
    for (int i = 0; i < 2; i++)
        if (s[i].fd >= 0)
            close(s[i].fd);
    if (!in_time)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return judge(argv[0], status, in_time, said, err);
}
