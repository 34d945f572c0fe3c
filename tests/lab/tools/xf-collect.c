// SPDX-License-Identifier: LGPL-2.1-or-later
// Runs outside the hosts. Every heartbeat the relays send gets the time of its
// arrival on this machine's monotonic clock and one line of the log:
//   ARRIVAL_NS HOST GUEST SEQ GUEST_NS
//   xf-collect PORT LOG
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: xf-collect PORT LOG\n");
        return 2;
    }
    // Real time, so that a busy machine does not show as a gap; without the
    // right to it, it works all the same.
    sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 10});
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    FILE *log = fopen(argv[2], "ae");
    if (s < 0 || !log || bind(s, (struct sockaddr *)&a, sizeof(a))) {
        perror("xf-collect");
        return 1;
    }
    setvbuf(log, NULL, _IOLBF, 0);
    char buf[256];
    ssize_t n;
    while ((n = recv(s, buf, sizeof(buf) - 1, 0)) >= 0) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        buf[n] = 0;
        fprintf(log, "%lld %s", t.tv_sec * 1000000000LL + t.tv_nsec, buf);
    }
    perror("xf-collect: recv");
    return 1;
}
