/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The message from the sink to the guard: see receive_sink.h. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "libxl-ext/sink/receive_sink.h"

void xf_guard_tell(int guard_fd, const int locks[2])
{
    char c = 0;
    struct iovec iov = {.iov_base = &c, .iov_len = 1};
    union {
        char buf[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } u = {.buf = {0}};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    if (locks[0] >= 0 && locks[1] >= 0) {
        m.msg_control = u.buf;
        m.msg_controllen = sizeof(u.buf);
        *CMSG_FIRSTHDR(&m) = (struct cmsghdr){.cmsg_len = CMSG_LEN(2 * sizeof(int)),
                                              .cmsg_level = SOL_SOCKET,
                                              .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), locks, 2 * sizeof(int));
    }
    while (sendmsg(guard_fd, &m, MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
}

bool xf_sink_hear(int fd)
{
    char c;
    struct iovec iov = {.iov_base = &c, .iov_len = 1};
    union {
        char buf[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } u;
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof(u.buf)};
    ssize_t n;

    /* The descriptors received with it are simply left open until this process ends. */
    while ((n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
        ;
    return n > 0;
}
