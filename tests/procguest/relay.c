/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A relay that can cut: see relay.h. Two threads for each connection, one for each direction. */
#include "tests/procguest/relay.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 512 /* in total */

struct way {
    struct pg_relay *r;
    int from, to;
};

static void nap(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static bool send_all(int fd, const char *buf, ssize_t n)
{
    ssize_t at = 0, sent = 0;

    while (at < n && (sent = send(fd, buf + at, (size_t)(n - at), MSG_NOSIGNAL)) > 0)
        at += sent;
    return at == n;
}

/* Forward a piece, or its damaged form. */
static bool pass_piece(struct way *w, char *buf, ssize_t n)
{
    struct pg_relay *r = w->r;

    if (!r->harm_at || r->bytes < r->harm_at || !atomic_exchange(&r->harm_at, 0))
        return send_all(w->to, buf, n);
    r->harmed++;
    switch ((enum pg_harm)r->harm) {
    case PG_HARM_FLIP:
        buf[n / 2] ^= 1;
        break;
    case PG_HARM_TWICE:
        if (!send_all(w->to, buf, n))
            return false;
        break;
    case PG_HARM_DROP:
        return true;
    case PG_HARM_HOLD:
        nap(r->hold_ms);
        break;
    case PG_HARMS:
        break;
    }
    return send_all(w->to, buf, n);
}

static void *pass(void *arg)
{
    struct way *w = arg;
    char *buf = malloc(1 << 16);
    ssize_t n;

    while (buf && (n = read(w->from, buf, 1 << 16)) > 0) {
        while (w->r->line == PG_LINE_STALLED)
            nap(5);
        if (w->r->line == PG_LINE_CUT) /* data on the line is lost with it */
            break;
        if (!pass_piece(w, buf, n))
            break;
        w->r->bytes += (uint64_t)n;
        if (w->r->rate) {
            uint64_t ns = (uint64_t)n * 1000000000u / w->r->rate;

            nanosleep(&(struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)},
                      NULL);
        }
    }
    free(buf);
    /* Forward the end to the other side; the other direction ends on its own. */
    shutdown(w->to, SHUT_WR);
    shutdown(w->from, SHUT_RD);
    return NULL;
}

static int dial(uint32_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to))) {
        close(fd);
        return -1;
    }
    return fd;
}

static void serve(struct pg_relay *r, int listener)
{
    struct way *ways = calloc(2 * CONNECTIONS, sizeof(*ways));
    unsigned n = 0, cut = 0;
    double up_again = 0;

    while (ways) {
        struct pollfd p = {.fd = listener, .events = POLLIN};
        struct timespec t;
        double now;
        int fd, to = -1;

        poll(&p, 1, 2);
        clock_gettime(CLOCK_MONOTONIC, &t);
        now = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
        if (r->cut_at && r->bytes >= r->cut_at) {
            r->cut_at = 0;
            r->line = PG_LINE_CUT;
            up_again = now + r->cut_ms / 1000.0;
        }
        if (up_again > 0 && now >= up_again) {
            r->line = PG_LINE_UP;
            up_again = 0;
        }
        if (r->line == PG_LINE_CUT && cut < n) {
            for (; cut < n; cut++) {
                shutdown(ways[2 * cut].from, SHUT_RDWR);
                shutdown(ways[2 * cut].to, SHUT_RDWR);
            }
            r->cuts++;
        }
        if (!(p.revents & POLLIN))
            continue;
        fd = accept(listener, NULL, NULL);
        if (fd >= 0 && r->line != PG_LINE_CUT && n < CONNECTIONS)
            to = dial(r->to);
        if (to < 0) {
            close(fd);
            continue;
        }
        for (int i = 0; i < 2; i++) {
            pthread_t thread;

            ways[2 * n + (unsigned)i] = (struct way){r, i ? to : fd, i ? fd : to};
            if (pthread_create(&thread, NULL, pass, &ways[2 * n + (unsigned)i]))
                exit(2);
            pthread_detach(thread);
        }
        n++;
    }
}

struct pg_relay *pg_relay_start(void)
{
    struct pg_relay *r =
        mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(own);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t pid;

    if (r == MAP_FAILED || fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(own)) ||
        listen(fd, 64) || getsockname(fd, (struct sockaddr *)&own, &len)) {
        perror("relay");
        exit(2);
    }
    r->port = ntohs(own.sin_port);
    fflush(NULL);
    pid = fork(); /* both see r */
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(r, fd);
        _exit(2);
    }
    close(fd);
    r->pid = pid;
    return r;
}

void pg_relay_free(struct pg_relay *r)
{
    kill(r->pid, SIGKILL);
    waitpid(r->pid, NULL, 0);
    munmap(r, sizeof(*r));
}
