// SPDX-License-Identifier: LGPL-2.1-or-later
// Runs outside the hosts. Sends an ICMP echo every MS milliseconds (1 to 1000) and writes one line
// per answer, both times on this machine's monotonic clock:
//   RECEIVED_NS SEQ SENT_NS
// The first line is "# start NOW_NS", the last (on SIGTERM) "# stop NOW_NS SENT".
//   xf-ping IP LOG MS
#include <arpa/inet.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct probe {
    struct icmphdr icmp;
    long long sent_ns;
    unsigned long seq; // the header's has only 16 bits
};

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
    (void)sig;
    stop = 1;
}

static long long now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static unsigned short checksum(const void *data, size_t len)
{
    unsigned long sum = 0;
    unsigned short word;
    for (const char *p = data; len > 1; p += 2, len -= 2) {
        memcpy(&word, p, 2);
        sum += word;
    }
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (unsigned short)~sum;
}

static void receive(int s, FILE *log)
{
    char buf[512];
    ssize_t n;
    while ((n = recv(s, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
        long long now = now_ns();
        size_t head = (size_t)(buf[0] & 15) * 4;
        struct probe p;
        if ((size_t)n < head + sizeof(p))
            continue;
        memcpy(&p, buf + head, sizeof(p));
        if (p.icmp.type == ICMP_ECHOREPLY && p.icmp.un.echo.id == (unsigned short)getpid())
            fprintf(log, "%lld %lu %lld\n", now, p.seq, p.sent_ns);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    long long period_ns = argc == 4 ? atoll(argv[3]) * 1000000 : 0;
    if (period_ns < 1000000 || period_ns > 1000000000 ||
        inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
        fprintf(stderr, "usage: xf-ping IP LOG MS\n");
        return 2;
    }
    sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 10});
    signal(SIGTERM, on_term);
    int s = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    FILE *log = fopen(argv[2], "we");
    if (s < 0 || !log) {
        perror("xf-ping");
        return 1;
    }
    setvbuf(log, NULL, _IOLBF, 0);

    unsigned long seq = 0;
    long long due = now_ns();
    fprintf(log, "# start %lld\n", due);
    while (!stop) {
        long long left = due - now_ns();
        if (left > 0) {
            struct pollfd p = {.fd = s, .events = POLLIN};
            if (ppoll(&p, 1, &(struct timespec){left / 1000000000, left % 1000000000}, NULL) > 0)
                receive(s, log);
            continue;
        }
        due += period_ns;
        struct probe p = {.icmp = {.type = ICMP_ECHO}, .sent_ns = now_ns(), .seq = ++seq};
        p.icmp.un.echo.id = (unsigned short)getpid();
        p.icmp.un.echo.sequence = htons((unsigned short)seq);
        p.icmp.checksum = checksum(&p, sizeof(p));
        // Nobody there (yet, or any more) is what we measure, not an error.
        sendto(s, &p, sizeof(p), 0, (struct sockaddr *)&to, sizeof(to));
    }
    receive(s, log);
    fprintf(log, "# stop %lld %lu\n", now_ns(), seq);
    return 0;
}
