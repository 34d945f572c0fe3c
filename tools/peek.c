/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looking at the first bytes of a pipe (tee(2) into a pipe of our own) or a socket
 * (MSG_PEEK) and leaving them there.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tools/peek.h"

static bool is_stream_socket(int fd)
{
    int type;
    socklen_t len = sizeof(type);

    return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) && type == SOCK_STREAM;
}

bool peek_possible(int fd)
{
    struct stat st;

    if (fstat(fd, &st))
        return false;
    return S_ISFIFO(st.st_mode) || (S_ISSOCK(st.st_mode) && is_stream_socket(fd));
}

/* The first bytes available now, up to `len`, without waiting; 0: none yet, or end of file. */
static ssize_t look(int fd, bool socket, const int copy[2], char *buf, size_t len)
{
    ssize_t n;

    do {
        n = socket ? recv(fd, buf, len, MSG_PEEK | MSG_DONTWAIT)
                   : tee(fd, copy[1], len, SPLICE_F_NONBLOCK);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return 0;
    /* Our own pipe is empty again after each look, so the next tee starts from the beginning. */
    return socket || n <= 0 ? n : read(copy[0], buf, (size_t)n);
}

/* 1: decided yes, 0: decided no, -1: not yet. */
static int compare(const char *seen, size_t n, const char *prefix, size_t len)
{
    if (memcmp(seen, prefix, n))
        return 0;
    return n == len ? 1 : -1;
}

int peek_prefix(int fd, const char *prefix, size_t len, struct xf_err *err)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLRDHUP};
    struct timespec pause = {.tv_nsec = 1000000};
    int copy[2] = {-1, -1}, verdict = -1;
    bool socket = is_stream_socket(fd);
    char seen[PEEK_MAX];

    if (len > sizeof(seen))
        return xf_fail(err, EINVAL, "cannot look for a prefix of %zu bytes", len);
    if (!socket && pipe2(copy, O_CLOEXEC))
        return xf_fail(err, errno, "cannot make a pipe: %s", strerror(errno));
    while (verdict < 0) {
        if (poll(&p, 1, -1) < 0) {
            if (errno == EINTR)
                continue;
            xf_fail(err, errno, "cannot wait for the source: %s", strerror(errno));
            break;
        }
        ssize_t n = look(fd, socket, copy, seen, len);
        if (n < 0) {
            xf_fail(err, errno, "cannot look at what the source sent: %s", strerror(errno));
            break;
        }
        verdict = compare(seen, (size_t)n, prefix, len);
        /* End of file: no more will follow what was just seen. */
        if (verdict < 0 && (p.revents & (POLLHUP | POLLRDHUP | POLLERR)))
            verdict = 0;
        /* poll() keeps reporting the bytes already seen; more will arrive soon, so wait a little,
         * and longer each time. */
        if (verdict < 0) {
            nanosleep(&pause, NULL);
            if (pause.tv_nsec < 50000000)
                pause.tv_nsec *= 2;
        }
    }
    if (!socket) {
        close(copy[0]);
        close(copy[1]);
    }
    return verdict;
}
