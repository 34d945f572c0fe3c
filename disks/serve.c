/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A qemu-nbd that writes to one image: see serve.h. */
#include "disks/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/securebits.h>

#include "disks/program.h"
#include "transport/clock.h"
#include "transport/text.h"

#define NBD "qemu-nbd"
#define NOT_FOUND 127
/* Descriptors of the child. Systemd's protocol has the listening socket at 3. */
#define LISTEN_FD 3
#define IMAGE_FD 4
#define SLICE_MS 10

/* No capability, now or after an exec. Without the right to give them up there is none to lose. */
static void drop_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE);
    for (unsigned long cap = 0; cap <= CAP_LAST_CAP; cap++)
        prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    syscall(SYS_capset, &head, none);
}

/* Descriptors out of the way of 3 and 4. */
static int above(int fd)
{
    return fcntl(fd, F_DUPFD, 10);
}

struct job {
    int listener, image, complaints;
    bool block, direct;
    uint64_t bytes;
    const char *name;
};

static void child(const struct job *j)
{
    int null = open("/dev/null", O_RDWR), listener = above(j->listener), image = above(j->image);
    char pid[16], spec[200], export[160];
    const char *argv[] = {NBD,
                          "--image-opts",
                          export,
                          "--shared=1",
                          j->direct ? "--cache=none" : "--cache=writeback",
                          "--discard=unmap",
                          spec,
                          NULL};

    if (null < 0 || listener < 0 || image < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(null, STDOUT_FILENO) < 0 || dup2(j->complaints, STDERR_FILENO) < 0 ||
        dup2(listener, LISTEN_FD) < 0 || dup2(image, IMAGE_FD) < 0)
        _exit(NOT_FOUND);
    syscall(SYS_close_range, IMAGE_FD + 1, ~0u, 0);
    xf_program_child();
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "1", 1);
    snprintf(export, sizeof(export), "--export-name=%s", j->name);
    /* Of exactly this size, even if a volume is longer. xen-disk does not look at locks. */
    snprintf(spec, sizeof(spec),
             "driver=raw,size=%llu,file.driver=%s,file.filename=/proc/self/fd/%d,file.locking=off",
             (unsigned long long)j->bytes, j->block ? "host_device" : "file", IMAGE_FD);
    drop_capabilities();
    execvp(argv[0], (char *const *)argv);
    _exit(NOT_FOUND);
}

/* A listening socket that is connected to already, and whose name is gone. */
static int make_sockets(const char *dir, int *listener, int *sock, struct xf_err *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int l, c = -1, num = 0;

    if (snprintf(at.sun_path, sizeof(at.sun_path), "%s/nbd-%d.sock", dir, (int)getpid()) >=
        (int)sizeof(at.sun_path))
        return xf_fail(err, ENAMETOOLONG, "the path of a socket in %.100s is too long", dir);
    unlink(at.sun_path);
    l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (l < 0 || fchmod(l, 0600) || bind(l, (struct sockaddr *)&at, sizeof(at)) || listen(l, 1))
        num = errno;
    if (!num) {
        c = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c < 0 || connect(c, (struct sockaddr *)&at, sizeof(at)))
            num = errno;
        unlink(at.sun_path);
    }
    if (!num) {
        *listener = l;
        *sock = c;
        return 0;
    }
    if (l >= 0)
        close(l);
    if (c >= 0)
        close(c);
    return xf_fail(err, num, "cannot make a socket for " NBD ": %s", strerror(num));
}

/* Some file systems (tmpfs) know no direct I/O. */
static bool takes_direct(int image)
{
    char path[32];
    int fd;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", image);
    fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

int xf_serve_start(struct xf_serve *s, int image, uint64_t bytes, const char *name, const char *dir,
                   int *sock, struct xf_err *err)
{
    struct job j = {.image = image, .bytes = bytes, .name = name};
    int complain[2], num;
    struct stat st;

    *s = XF_SERVE_NONE;
    *sock = -1;
    if (fstat(image, &st))
        return xf_fail(err, errno, "cannot look at the image: %s", strerror(errno));
    j.block = S_ISBLK(st.st_mode);
    j.direct = takes_direct(image);
    if (make_sockets(dir, &j.listener, sock, err))
        return -1;
    if (pipe2(complain, O_CLOEXEC | O_NONBLOCK)) {
        num = errno;
    } else {
        j.complaints = complain[1];
        s->complaints = complain[0];
        s->pid = fork();
        num = s->pid < 0 ? errno : 0;
        if (s->pid == 0)
            child(&j);
        close(complain[1]);
    }
    close(j.listener);
    if (!num)
        return 0;
    close(*sock);
    *sock = -1;
    if (s->complaints >= 0)
        close(s->complaints);
    *s = XF_SERVE_NONE;
    return xf_fail(err, num, "cannot start " NBD ": %s", strerror(num));
}

/* The first line of what it complained of. */
static void read_complaint(struct xf_serve *s, char *out, size_t size)
{
    ssize_t n = s->complaints >= 0 ? read(s->complaints, out, size - 1) : 0;

    out[n > 0 ? n : 0] = 0;
    out[strcspn(out, "\n")] = 0;
    xf_text_clean(out);
    if (s->complaints >= 0)
        close(s->complaints);
    s->complaints = -1;
}

static int ended(struct xf_serve *s, int status, struct xf_err *err)
{
    char said[200];

    s->pid = 0;
    read_complaint(s, said, sizeof(said));
    if (WIFEXITED(status) && !WEXITSTATUS(status))
        return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_FOUND && !said[0])
        return xf_serve_possible(err) ? -1 : xf_fail(err, EIO, NBD " could not be started");
    if (WIFSIGNALED(status))
        return xf_fail(err, EIO, NBD " was killed by signal %d", WTERMSIG(status));
    return xf_fail(err, EIO, NBD " has failed: %s",
                   said[0] ? said : "it does not say why; see the log of that host");
}

int xf_serve_wait(struct xf_serve *s, int wait_ms, struct xf_err *err)
{
    int64_t until = xf_now_ms() + wait_ms;
    int status;

    if (!s->pid)
        return xf_fail(err, ECHILD, NBD " does not run");
    for (;;) {
        pid_t got = waitpid(s->pid, &status, WNOHANG);
        int64_t left = until - xf_now_ms();

        if (got == s->pid)
            return ended(s, status, err);
        if (got < 0 && errno != EINTR)
            return xf_fail(err, errno, NBD " cannot be waited for: %s", strerror(errno));
        if (left <= 0)
            return XF_AGAIN;
        poll(NULL, 0, left < SLICE_MS ? (int)left : SLICE_MS);
    }
}

void xf_serve_kill(struct xf_serve *s)
{
    int status;

    if (s->pid > 0) {
        kill(s->pid, SIGKILL);
        while (waitpid(s->pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    if (s->complaints >= 0)
        close(s->complaints);
    *s = XF_SERVE_NONE;
}

int xf_serve_possible(struct xf_err *err)
{
    static const char *const argv[] = {NBD, "--version", NULL};
    char out[XF_PROGRAM_OUT];

    if (!xf_program_run(argv, 10000, out, err))
        return 0;
    return xf_wrap(err, "a disk cannot be received without " NBD
                        " (Debian's package qemu-utils): install it there");
}
