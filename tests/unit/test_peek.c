/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looking at the first bytes of pipes and sockets: the right answer however they come in,
 * and every byte still there afterwards.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/suite.h"
#include "tools/peek.h"

#define PREFIX "Xenferry move, protocol 1\n"

static void tcp_pair(int fd[2])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int l = socket(AF_INET, SOCK_STREAM, 0);

    CU_ASSERT_EQUAL_FATAL(bind(l, (struct sockaddr *)&a, len), 0);
    CU_ASSERT_EQUAL_FATAL(listen(l, 1), 0);
    CU_ASSERT_EQUAL_FATAL(getsockname(l, (struct sockaddr *)&a, &len), 0);
    fd[1] = socket(AF_INET, SOCK_STREAM, 0);
    CU_ASSERT_EQUAL_FATAL(connect(fd[1], (struct sockaddr *)&a, len), 0);
    fd[0] = accept(l, NULL, NULL);
    close(l);
}

enum kind { PIPE, UNIX, TCP, KINDS };

static void make(enum kind kind, int fd[2])
{
    if (kind == TCP)
        tcp_pair(fd);
    else
        CU_ASSERT_EQUAL_FATAL(kind == PIPE ? pipe(fd) : socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
}

/* A child writes `text` in pieces of `step` bytes and closes. */
static pid_t writer(int fd[2], const char *text, size_t len, size_t step)
{
    pid_t pid = fork();

    if (pid)
        return pid;
    close(fd[0]);
    for (size_t i = 0; i < len; i += step) {
        size_t n = len - i < step ? len - i : step;
        if (write(fd[1], text + i, n) != (ssize_t)n)
            _exit(1);
        if (step < len)
            usleep(2000);
    }
    _exit(0);
}

static void try(enum kind kind, const char *text, size_t len, size_t step, int wanted)
{
    struct xf_err err = {0};
    char back[1000];
    size_t got = 0;
    ssize_t n;
    int fd[2], status;
    pid_t pid;

    make(kind, fd);
    pid = writer(fd, text, len, step);
    close(fd[1]);
    CU_ASSERT_TRUE(peek_possible(fd[0]));
    CU_ASSERT_EQUAL(peek_prefix(fd[0], PREFIX, strlen(PREFIX), &err), wanted);
    CU_ASSERT_EQUAL(err.num, 0);
    /* Twice: looking takes nothing. */
    CU_ASSERT_EQUAL(peek_prefix(fd[0], PREFIX, strlen(PREFIX), &err), wanted);
    while ((n = read(fd[0], back + got, sizeof(back) - got)) > 0)
        got += (size_t)n;
    CU_ASSERT_EQUAL(got, len);
    CU_ASSERT_EQUAL(memcmp(back, text, len), 0);
    close(fd[0]);
    waitpid(pid, &status, 0);
    CU_ASSERT_EQUAL(status, 0);
}

static void test_all_ways(void)
{
    static const struct {
        const char *text;
        int wanted;
    } cases[] = {
        {PREFIX, 1},
        {PREFIX "and much more behind it", 1},
        {"Xenferry move, protocol 2\nbehind", 0},
        {"Xen saved domain, xl format\n \1 \r and binary", 0},
        {"Xen", 0}, /* the end comes before the decision */
        {"", 0},
        {"y", 0},
    };
    static const size_t steps[] = {1, 7, 1000};

    for (int kind = 0; kind < KINDS; kind++)
        for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++)
            for (size_t s = 0; s < 3; s++)
                try(kind, cases[c].text, strlen(cases[c].text), steps[s], cases[c].wanted);
}

static void test_a_source_that_waits(void)
{
    /* A stock source sends its header and waits: one differing byte must be enough. */
    for (int kind = 0; kind < KINDS; kind++) {
        int fd[2];
        make(kind, fd);
        CU_ASSERT_EQUAL(write(fd[1], "Xen s", 5), 5);
        CU_ASSERT_EQUAL(peek_prefix(fd[0], PREFIX, strlen(PREFIX), NULL), 0);
        close(fd[0]);
        close(fd[1]);
    }
}

static void test_a_full_pipe(void)
{
    char page[4096], first[26];
    ssize_t n, total = 0;
    int fd[2];

    memset(page, 'x', sizeof(page));
    memcpy(page, PREFIX, strlen(PREFIX));
    CU_ASSERT_EQUAL_FATAL(pipe2(fd, O_NONBLOCK), 0);
    while ((n = write(fd[1], page, sizeof(page))) > 0)
        total += n;
    CU_ASSERT_EQUAL(peek_prefix(fd[0], PREFIX, strlen(PREFIX), NULL), 1);
    CU_ASSERT_EQUAL(read(fd[0], first, sizeof(first)), 26);
    CU_ASSERT_EQUAL(memcmp(first, PREFIX, 26), 0);
    while ((n = read(fd[0], page, sizeof(page))) > 0)
        total -= n;
    CU_ASSERT_EQUAL(total, 26);
    close(fd[0]);
    close(fd[1]);
}

static void test_impossible(void)
{
    int fd = open("/dev/null", O_RDWR), udp = socket(AF_INET, SOCK_DGRAM, 0);

    CU_ASSERT_FALSE(peek_possible(fd));
    CU_ASSERT_FALSE(peek_possible(udp));
    close(fd);
    close(udp);
    CU_ASSERT_FALSE(peek_possible(fd));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"every kind, any pieces", test_all_ways},
        {"a source that waits", test_a_source_that_waits},
        {"a full pipe", test_a_full_pipe},
        {"what cannot be looked at", test_impossible},
        CU_TEST_INFO_NULL,
    };
    return run_suite("peek", tests);
}
