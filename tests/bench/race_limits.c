/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the machine and the link can do at most, for the race: memory by itself, plain TCP
 * between two network namespaces (and the processor time of both its ends), the same without the
 * sender's copy, a round trip of 8 bytes out and 4096 back, and page faults that userfaultfd has
 * served across that. Writes one JSON object. race.py runs it.
 *
 *   race_limits [--netns-a PATH --netns-b PATH --addr ADDR] [--mib MIB] [--no-memory]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/userfaultfd.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pages/zero.h"
#include "transport/clock.h"

#define PAGE 4096u
#define CHUNK (64u << 10)
#define TRIPS 2000u
#define STREAMS 2u
#define PIECE (1u << 20)

static const char *netns[2], *addr = "127.0.0.1";
static size_t bytes = 256u << 20;
/* What plain streams send, again and again. */
static struct {
    int file;
    char *map;
} piece;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "race_limits: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void *memory(size_t len)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED || madvise(p, len, MADV_NOHUGEPAGE))
        die("memory");
    return p;
}

static double gib_s(double seconds)
{
    return (double)bytes / (double)(1u << 30) / seconds;
}

/* --- memory --- */

static int open_uffd(void *at, size_t len)
{
    struct uffdio_api api = {.api = UFFD_API};
    struct uffdio_register reg = {.range = {(uintptr_t)at, len},
                                  .mode = UFFDIO_REGISTER_MODE_MISSING};
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

    if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
        die("userfaultfd");
    return fd;
}

static void put(int uffd, void *to, void *from, size_t len)
{
    struct uffdio_copy c = {.dst = (uintptr_t)to, .src = (uintptr_t)from, .len = len};

    if (ioctl(uffd, UFFDIO_COPY, &c))
        die("UFFDIO_COPY");
}

static void memory_limits(void)
{
    uint8_t *a = memory(bytes), *b = memory(bytes), *c = memory(bytes);
    double t = xf_now();
    unsigned zeros = 0;
    int uffd;

    memset(a, 1, bytes);
    printf(" \"first_touch_gib_s\": %.3f,\n", gib_s(xf_now() - t));
    memset(b, 2, bytes);
    t = xf_now();
    memcpy(b, a, bytes);
    printf(" \"memcpy_gib_s\": %.3f,\n", gib_s(xf_now() - t));
    memset(b, 0, bytes);
    t = xf_now();
    for (size_t i = 0; i < bytes; i += PAGE)
        zeros += xf_page_is_zero(b + i);
    printf(" \"zero_scan_gib_s\": %.3f,\n", gib_s(xf_now() - t));
    if (zeros != bytes / PAGE)
        die("zeros");
    uffd = open_uffd(c, bytes);
    t = xf_now();
    for (size_t i = 0; i < bytes; i += CHUNK)
        put(uffd, c + i, a + i, CHUNK);
    printf(" \"fill_gib_s\": %.3f,\n", gib_s(xf_now() - t));
    close(uffd);
    munmap(a, bytes);
    munmap(b, bytes);
    munmap(c, bytes);
}

/* --- between two namespaces --- */

static void enter(const char *path)
{
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (path && (fd < 0 || setns(fd, CLONE_NEWNET)))
        die(path);
    if (fd >= 0)
        close(fd);
}

static int tcp_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
        die("socket");
    return fd;
}

static struct sockaddr_in at(uint16_t port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = port};

    if (inet_pton(AF_INET, addr, &sa.sin_addr) != 1)
        die("the address");
    return sa;
}

static void all(int fd, void *buf, size_t len, bool out)
{
    for (size_t n = 0; n < len;) {
        ssize_t k = out ? send(fd, (char *)buf + n, len - n, MSG_NOSIGNAL)
                        : recv(fd, (char *)buf + n, len - n, 0);

        if (k <= 0)
            die(out ? "send" : "receive");
        n += (size_t)k;
    }
}

/* The sink's side: what each connection wants is its first byte. */
static void *serve_one(void *arg)
{
    int fd = (int)(intptr_t)arg;
    static const char zeros[PAGE];
    char *buf = memory(1u << 20);
    uint64_t gfn;
    ssize_t n;
    char what;

    if (recv(fd, &what, 1, 0) != 1)
        die("receive");
    if (what == 's') {
        while ((n = recv(fd, buf, 1u << 20, 0)) > 0)
            ;
        all(fd, &what, 1, true);
    } else {
        while (recv(fd, &gfn, sizeof(gfn), MSG_WAITALL) == (ssize_t)sizeof(gfn)) {
            memcpy(buf, zeros, PAGE);
            buf[0] = 1;
            all(fd, buf, PAGE, true);
        }
    }
    close(fd);
    return NULL;
}

static _Noreturn void serve(int report)
{
    struct sockaddr_in sa = at(0);
    socklen_t len = sizeof(sa);
    int fd;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    enter(netns[1]);
    fd = tcp_socket();
    if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 8) ||
        getsockname(fd, (struct sockaddr *)&sa, &len) ||
        write(report, &sa.sin_port, sizeof(sa.sin_port)) != sizeof(sa.sin_port))
        die("listen");
    for (;;) {
        int c = accept(fd, NULL, NULL), one = 1;
        pthread_t thread;

        if (c < 0)
            die("accept");
        setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)c))
            die("a thread");
        pthread_detach(thread);
    }
}

static int call(uint16_t port, char what)
{
    struct sockaddr_in sa = at(port);
    int fd = tcp_socket();

    if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)))
        die("connect");
    all(fd, &what, 1, true);
    return fd;
}

struct stream {
    pthread_t thread;
    uint16_t port;
    size_t len;
    bool spliced; /* the file's own pages (sendfile), not copies of them */
};

static void send_piece(int fd, bool spliced)
{
    off_t from = 0;

    if (!spliced)
        all(fd, piece.map, PIECE, true);
    else
        while (from < PIECE)
            if (sendfile(fd, piece.file, &from, PIECE - (size_t)from) <= 0)
                die("sendfile");
}

static void *stream_main(void *arg)
{
    struct stream *s = arg;
    int fd = call(s->port, 's');
    char end;

    for (size_t n = 0; n < s->len; n += PIECE)
        send_piece(fd, s->spliced);
    shutdown(fd, SHUT_WR);
    all(fd, &end, 1, false); /* all of it has been read there */
    close(fd);
    return NULL;
}

/* Processor time of a process so far, in seconds. */
static double used(clockid_t clock)
{
    struct timespec t;

    if (clock_gettime(clock, &t))
        die("processor time");
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void streams(uint16_t port, unsigned n, bool spliced, clockid_t server)
{
    const char *what = spliced ? "spliced" : "stream";
    struct stream list[STREAMS];
    double t = xf_now(), cpu = used(CLOCK_PROCESS_CPUTIME_ID) + used(server);

    for (unsigned i = 0; i < n; i++) {
        list[i] = (struct stream){.port = port, .len = bytes / n, .spliced = spliced};
        if (pthread_create(&list[i].thread, NULL, stream_main, &list[i]))
            die("a thread");
    }
    for (unsigned i = 0; i < n; i++)
        pthread_join(list[i].thread, NULL);
    t = xf_now() - t;
    cpu = used(CLOCK_PROCESS_CPUTIME_ID) + used(server) - cpu;
    printf(" \"%s%u_gib_s\": %.4f, \"%s%u_cpu_s_gib\": %.3f,\n", what, n, gib_s(t), what, n,
           1 / gib_s(cpu));
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void say_times(const char *what, double *list, unsigned n)
{
    double sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += list[i];
    qsort(list, n, sizeof(*list), by_value);
    printf(" \"%s_mean_s\": %.9f, \"%s_p50_s\": %.9f,\n", what, sum / n, what, list[n / 2]);
}

static void trips(uint16_t port)
{
    static double took[TRIPS];
    int fd = call(port, 'p');
    char page[PAGE];

    for (uint64_t i = 0; i < TRIPS; i++) {
        double t = xf_now();

        all(fd, &i, sizeof(i), true);
        all(fd, page, PAGE, false);
        took[i] = xf_now() - t;
    }
    close(fd);
    say_times("trip", took, TRIPS);
}

struct fault {
    uint8_t *mem;
    int uffd, fd;
};

static void *fault_main(void *arg)
{
    struct fault *f = arg;
    char page[PAGE] __attribute__((aligned(PAGE)));

    for (unsigned i = 0; i < TRIPS; i++) {
        struct uffd_msg m;
        uint64_t at_page;

        if (read(f->uffd, &m, sizeof(m)) != sizeof(m))
            die("a fault");
        at_page = m.arg.pagefault.address & ~(uint64_t)(PAGE - 1);
        all(f->fd, &at_page, sizeof(at_page), true);
        all(f->fd, page, PAGE, false);
        put(f->uffd, (void *)(uintptr_t)at_page, page, PAGE);
    }
    return NULL;
}

static void faults(uint16_t port)
{
    static double took[TRIPS];
    struct fault f = {.mem = memory((size_t)TRIPS * PAGE)};
    pthread_t thread;

    f.uffd = open_uffd(f.mem, (size_t)TRIPS * PAGE);
    f.fd = call(port, 'p');
    if (pthread_create(&thread, NULL, fault_main, &f))
        die("a thread");
    for (unsigned i = 0; i < TRIPS; i++) {
        double t = xf_now();

        if (*(volatile uint8_t *)(f.mem + (size_t)i * PAGE) != 1)
            die("a page");
        took[i] = xf_now() - t;
    }
    pthread_join(thread, NULL);
    close(f.fd);
    close(f.uffd);
    say_times("fault", took, TRIPS);
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"netns-a", 1, NULL, 'a'},   {"netns-b", 1, NULL, 'b'},
                                          {"addr", 1, NULL, 'A'},      {"mib", 1, NULL, 'm'},
                                          {"no-memory", 0, NULL, 'n'}, {NULL, 0, NULL, 0}};
    bool with_memory = true;
    uint16_t port;
    int opt, report[2];
    pid_t server;
    clockid_t clock;

    while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (opt == 'a')
            netns[0] = optarg;
        else if (opt == 'b')
            netns[1] = optarg;
        else if (opt == 'A')
            addr = optarg;
        else if (opt == 'm')
            bytes = (size_t)(strtoul(optarg, NULL, 10) & ~1ul) << 20;
        else if (opt == 'n')
            with_memory = false;
        else
            return 2;
    }
    if (!bytes || pipe(report))
        die("the command line");
    server = fork();
    if (server < 0)
        die("fork");
    if (!server)
        serve(report[1]);
    if (read(report[0], &port, sizeof(port)) != sizeof(port))
        die("the server");
    errno = clock_getcpuclockid(server, &clock);
    if (errno)
        die("the server's processor time");
    enter(netns[0]);
    piece.file = memfd_create("race_limits", 0);
    if (piece.file < 0 || ftruncate(piece.file, PIECE))
        die("memfd");
    piece.map = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_SHARED, piece.file, 0);
    if (piece.map == MAP_FAILED)
        die("memory");
    memset(piece.map, 7, PIECE);
    printf("{\n");
    if (with_memory)
        memory_limits();
    for (unsigned n = 1; n <= STREAMS; n++)
        streams(port, n, false, clock);
    streams(port, STREAMS, true, clock);
    trips(port);
    faults(port);
    printf(" \"mib\": %zu}\n", bytes >> 20);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    return 0;
}
