// SPDX-License-Identifier: LGPL-2.1-or-later
// A second network interface that waits for nobody: on every new host it connects by itself,
// whatever state its backend says it is in, and sends pages that nothing has touched since the
// move. Linux's netfront waits for the backend's InitWait, so it is shown another backend: nodes of
// our own, to which its frontend, whose nodes are the guest's, is made to point. It then writes its
// rings and "Connected" where the real backend reads them.
#include "guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WHAT_ROGUE 5
#define PAGES 16u
#define ROUNDS 120 // of sending them all, one each second
#define PORT 7009
#define BYTES 1400u // of each page, one datagram
#define FRONT "device/vif/1"
#define POLL_NS 50000000

enum { XS_READ = 2, XS_WRITE = 11, XS_ERROR = 16 }; // xen/io/xs_wire.h

static uint8_t *pages; // not touched after rogue_start()
static char address[16];
static atomic_ulong sent, connects;

static bool put(const char *path, const char *value)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
    if (fd >= 0)
        close(fd);
    return ok;
}

void rogue_hold_back(void)
{
    put("/sys/bus/xen/drivers_autoprobe", "0");
}

void rogue_bind_first(void)
{
    if (!put("/sys/bus/xen/drivers/vif/bind", "vif-0"))
        error_note("cannot bind vif-0: %m");
}

// One request to xenstore; the answer's text in out. False: an error.
static bool ask(uint32_t type, const char *node, const char *value, char *out, size_t size)
{
    struct {
        uint32_t type, id, tx, len;
    } head = {type, 1, 0, 0};
    char buf[512];
    int fd = open("/dev/xen/xenbus", O_RDWR | O_CLOEXEC);
    size_t at = sizeof(head);
    memcpy(buf + at, node, strlen(node) + 1);
    at += strlen(node) + 1;
    if (value) {
        memcpy(buf + at, value, strlen(value));
        at += strlen(value);
    }
    head.len = (uint32_t)(at - sizeof(head));
    memcpy(buf, &head, sizeof(head));
    bool ok = fd >= 0 && write(fd, buf, at) == (ssize_t)at;
    size_t got = 0;
    while (ok && got < sizeof(head)) {
        ssize_t n = read(fd, (char *)&head + got, sizeof(head) - got);
        ok = n > 0;
        got += ok ? (size_t)n : 0;
    }
    got = 0;
    while (ok && got < head.len && got < sizeof(buf)) {
        ssize_t n = read(fd, buf + got, sizeof(buf) - got);
        ok = n > 0;
        got += ok ? (size_t)n : 0;
    }
    if (fd >= 0)
        close(fd);
    if (!ok || head.type == XS_ERROR)
        return false;
    if (out)
        snprintf(out, size, "%.*s", (int)got, buf);
    return true;
}

static bool node_is(const char *node, const char *value)
{
    char now[64];
    return ask(XS_READ, node, NULL, now, sizeof(now)) && !strcmp(now, value);
}

static bool await(const char *node, const char *value)
{
    for (int i = 0; i < 600; i++) {
        if (node_is(node, value))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
    return false;
}

// The other backend, and the frontend's way to it.
static bool point_away(char *fake, size_t size)
{
    static const char *const features[] = {"feature-rx-copy", "feature-rx-notify", "feature-sg"};
    char domid[16], node[128];
    if (!ask(XS_READ, "domid", NULL, domid, sizeof(domid)))
        return false;
    snprintf(fake, size, "/local/domain/%s/data/xf-vif", domid);
    for (unsigned i = 0; i < 3; i++) {
        snprintf(node, sizeof(node), "%s/%s", fake, features[i]);
        if (!ask(XS_WRITE, node, "1", NULL, 0))
            return false;
    }
    snprintf(node, sizeof(node), "%s/state", fake);
    return ask(XS_WRITE, node, "2", NULL, 0) && ask(XS_WRITE, FRONT "/backend", fake, NULL, 0);
}

static bool connect_alone(void)
{
    char fake[64], node[80];
    if (!point_away(fake, sizeof(fake)) || !put("/sys/bus/xen/drivers/vif/bind", "vif-1") ||
        !await(FRONT "/state", "4"))
        return false;
    snprintf(node, sizeof(node), "%s/state", fake);
    return ask(XS_WRITE, node, "4", NULL, 0) && boot_interface("eth1", address, "255.255.255.255");
}

// By reference: the kernel puts the pages themselves into the ring, and reads none of them. Each
// time from a socket of its own, which has room for so many that are on their way.
static void send_pages(void)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_BROADCAST)};
    int one = 1, s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s < 0 || setsockopt(s, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)) ||
        setsockopt(s, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)) ||
        setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "eth1", 5))
        error_note("rogue: no socket: %m");
    for (unsigned i = 0; i < PAGES; i++)
        if (sendto(s, pages + i * PAGE, BYTES, MSG_ZEROCOPY, (struct sockaddr *)&to, sizeof(to)) ==
            (ssize_t)BYTES)
            sent++;
    if (s >= 0)
        close(s);
}

// The mark is a node of the frontend's, which every host makes anew.
static void *watch(void *unused)
{
    (void)unused;
    if (!ask(XS_WRITE, FRONT "/xf-mark", "1", NULL, 0))
        error_note("rogue: no second interface");
    for (;;) {
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
        if (node_is(FRONT "/xf-mark", "1"))
            continue;
        if (!ask(XS_WRITE, FRONT "/xf-mark", "1", NULL, 0))
            continue;
        if (!connect_alone()) {
            error_note("rogue: cannot connect: %m");
            continue;
        }
        connects++;
        console_line("XF-ROGUE connected");
        for (unsigned i = 0; i < ROUNDS && node_is(FRONT "/xf-mark", "1"); i++) {
            send_pages();
            nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
        }
    }
    return NULL;
}

void rogue_start(const char *ip)
{
    pthread_t t;
    if (!*ip)
        return;
    snprintf(address, sizeof(address), "%s", ip);
    pages = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        error_note("rogue: no memory");
        return;
    }
    for (unsigned i = 0; i < PAGES; i++)
        pattern_fill(pages + i * PAGE, WHAT_ROGUE, i, 0);
    if (pthread_create(&t, NULL, watch, NULL))
        error_note("rogue: no thread");
}

// What the datagrams must hold, one after the other.
void rogue_send(int c)
{
    uint8_t *page = aligned_alloc(PAGE, PAGE);
    for (unsigned i = 0; page && pages && i < PAGES; i++) {
        pattern_fill(page, WHAT_ROGUE, i, 0);
        if (send(c, page, BYTES, MSG_NOSIGNAL) != (ssize_t)BYTES)
            break;
    }
    free(page);
}

void rogue_status(char *out, size_t size)
{
    snprintf(out, size, "\"rogue_connects\": %lu, \"rogue_sent\": %lu", atomic_load(&connects),
             atomic_load(&sent));
}
