/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A link with a rate and a delay between two network namespaces, for kernels without netem:
 * a TAP device in each, and what one sends comes out of the other as late as on such a line.
 * Prints "ready" when both devices are there; ends, and they with it, when its input does.
 *
 *   race_delay NETNS-A DEVICE-A NETNS-B DEVICE-B BYTES-PER-SECOND DELAY-MICROSECONDS
 *
 * Frames come and go as large as TCP makes them (virtio_net_hdr, segmentation left to the
 * other end), as between two veths; the rate counts them as the segments that they stand for.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "transport/clock.h"

#define FRAME_MAX (sizeof(struct virtio_net_hdr) + 14 + 65536)
#define FRAMES 512u /* on the line and before it; then the device's own queue fills */

struct frame {
    uint64_t due_ns;
    size_t len;
    char data[FRAME_MAX];
};

struct way {
    int from, to;
    double rate; /* bytes per second */
    uint64_t delay_ns;
    uint64_t free_ns; /* when the line has sent what came so far */
    struct frame *frames;
    unsigned head, count;
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "race_delay: %s: %s\n", what, strerror(errno));
    exit(2);
}

static int tap(const char *netns, const char *name)
{
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int ns = open(netns, O_RDONLY | O_CLOEXEC), fd;

    if (ns < 0 || setns(ns, CLONE_NEWNET))
        die(netns);
    close(ns);
    fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        die("/dev/net/tun");
    snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
    if (ioctl(fd, TUNSETIFF, &r) || ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4))
        die(name);
    return fd;
}

/* Bytes on the line: each segment has the headers anew. */
static double on_line(const struct frame *f)
{
    struct virtio_net_hdr h;
    size_t len = f->len - sizeof(h);

    memcpy(&h, f->data, sizeof(h));
    if (h.gso_type == VIRTIO_NET_HDR_GSO_NONE || !h.gso_size || h.hdr_len >= len)
        return (double)len;
    return (double)(len + (len - h.hdr_len - 1) / h.gso_size * h.hdr_len);
}

/* false: there is none. */
static bool take_in(struct way *w)
{
    struct frame *f = &w->frames[(w->head + w->count) % FRAMES];
    ssize_t n = read(w->from, f->data, sizeof(f->data));
    uint64_t now = xf_now_ns();

    if (n < (ssize_t)sizeof(struct virtio_net_hdr)) {
        if (n < 0 && errno != EAGAIN && errno != EIO) /* EIO: the device is down */
            die("reading a frame");
        return false;
    }
    f->len = (size_t)n;
    if (w->free_ns < now)
        w->free_ns = now;
    w->free_ns += (uint64_t)(on_line(f) / w->rate * 1e9);
    f->due_ns = w->free_ns + w->delay_ns;
    w->count++;
    return true;
}

static void hand_out(struct way *w)
{
    while (w->count && w->frames[w->head].due_ns <= xf_now_ns()) {
        const struct frame *f = &w->frames[w->head];

        if (write(w->to, f->data, f->len) < 0 && errno != EIO && errno != EAGAIN &&
            errno != EINVAL && errno != ENOBUFS)
            die("writing a frame"); /* the others are a frame lost, as lines do */
        w->head = (w->head + 1) % FRAMES;
        w->count--;
    }
}

static void *run(void *arg)
{
    struct way *w = arg;

    prctl(PR_SET_TIMERSLACK, 1ul);
    for (;;) {
        struct pollfd p = {.fd = w->count < FRAMES ? w->from : -1, .events = POLLIN};
        struct timespec wait, *until = NULL;

        hand_out(w);
        if (w->count) {
            uint64_t now = xf_now_ns(), due = w->frames[w->head].due_ns;
            uint64_t ns = due > now ? due - now : 0;

            wait = (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
            until = &wait;
        }
        if (ppoll(&p, 1, until, NULL) < 0 && errno != EINTR)
            die("waiting for frames");
        while (w->count < FRAMES && take_in(w))
            ;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct way ways[2];
    char c;

    if (argc != 7 || atof(argv[5]) <= 0 || atof(argv[6]) < 0) {
        fprintf(stderr, "usage: race_delay NETNS-A DEVICE-A NETNS-B DEVICE-B BYTES-PER-SECOND "
                        "DELAY-MICROSECONDS\n");
        return 2;
    }
    memset(ways, 0, sizeof(ways));
    ways[0].from = ways[1].to = tap(argv[1], argv[2]);
    ways[0].to = ways[1].from = tap(argv[3], argv[4]);
    for (unsigned i = 0; i < 2; i++) {
        pthread_t t;

        ways[i].rate = atof(argv[5]);
        ways[i].delay_ns = (uint64_t)(atof(argv[6]) * 1000);
        ways[i].frames = malloc(FRAMES * sizeof(*ways[i].frames));
        if (!ways[i].frames)
            die("memory");
        errno = pthread_create(&t, NULL, run, &ways[i]);
        if (errno)
            die("a thread");
    }
    printf("ready\n");
    fflush(stdout);
    while (read(STDIN_FILENO, &c, 1) > 0)
        ;
    return 0;
}
