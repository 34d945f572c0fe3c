/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A driver of a virtio disk over qtest: see virtio.h. Registers and rings are those of "legacy"
 * devices (Virtual I/O Device 1.0, 4.1.4.8 and 2.4). */
#include "tests/disks/virtio.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/procguest/eventually.h"

#define LIMIT_MS 60000
#define PORTS 0xc000u /* of the device */
#define RING 0x100000u
#define HEAD 0x200000u
#define STATUS 0x200010u
#define DATA 0x201000u
#define BLOCK 4096u
#define ALIGN 4096u

/* One command; the answer's number in *value, which may be NULL. */
__attribute__((format(printf, 3, 4))) static bool say(struct virtio_disk *d, uint64_t *value,
                                                      const char *fmt, ...)
{
    char line[512];
    struct pollfd p = {.fd = d->fd, .events = POLLIN};
    size_t len = 0;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (send(d->fd, line, (size_t)n, MSG_NOSIGNAL) != n)
        return false;
    do {
        ssize_t got = poll(&p, 1, LIMIT_MS) > 0 ? recv(d->fd, line + len, 200 - len, 0) : 0;

        if (got <= 0)
            return false;
        len += (size_t)got;
    } while (line[len - 1] != '\n' && len < 200);
    line[len] = 0;
    if (value)
        *value = strtoull(line + strcspn(line, " \n"), NULL, 0);
    return !strncmp(line, "OK", 2);
}

static bool configure(struct virtio_disk *d, unsigned reg, uint32_t value)
{
    return say(d, NULL, "outl 0xcf8 0x%x\n", 0x80000000u | VIRTIO_SLOT << 11 | reg) &&
           say(d, NULL, "outl 0xcfc 0x%x\n", value);
}

/* The ring's descriptors never change: the head, the data, the status. */
static bool describe(struct virtio_disk *d)
{
    static const struct {
        uint64_t at;
        uint32_t len;
        uint16_t flags, next;
    } parts[] = {{HEAD, 16, 1, 1}, {DATA, BLOCK, 1, 2}, {STATUS, 1, 2, 0}};

    for (unsigned i = 0; i < 3; i++)
        if (!say(d, NULL, "writeq 0x%x 0x%" PRIx64 "\n", RING + i * 16, parts[i].at) ||
            !say(d, NULL, "writel 0x%x 0x%x\n", RING + i * 16 + 8, parts[i].len) ||
            !say(d, NULL, "writew 0x%x 0x%x\n", RING + i * 16 + 12, parts[i].flags) ||
            !say(d, NULL, "writew 0x%x 0x%x\n", RING + i * 16 + 14, parts[i].next))
            return false;
    return true;
}

static uint32_t avail(const struct virtio_disk *d)
{
    return RING + d->size * 16u;
}

static uint32_t used(const struct virtio_disk *d)
{
    return (avail(d) + 6 + 2u * d->size + ALIGN - 1) / ALIGN * ALIGN;
}

bool virtio_begin(struct virtio_disk *d, const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    bool connected = false;
    uint64_t size = 0;

    *d = (struct virtio_disk){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
                              .clock_ns = xf_now_ns()};
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    /* QEMU makes it after the monitor's. */
    if (!EVENTUALLY(connected || (connected = !connect(d->fd, (struct sockaddr *)&a, sizeof(a)))) ||
        !configure(d, 0x10, PORTS) || !configure(d, 0x04, 7) ||
        !say(d, NULL, "outb 0x%x 0\n", PORTS + 0x12) ||
        !say(d, NULL, "outb 0x%x 3\n", PORTS + 0x12) ||
        !say(d, NULL, "outl 0x%x 0\n", PORTS + 0x04) ||
        !say(d, NULL, "outw 0x%x 0\n", PORTS + 0x0e) || !say(d, &size, "inw 0x%x\n", PORTS + 0x0c))
        return false;
    d->size = (uint16_t)size;
    return size && describe(d) && say(d, NULL, "outl 0x%x 0x%x\n", PORTS + 0x08, RING / ALIGN) &&
           say(d, NULL, "outb 0x%x 7\n", PORTS + 0x12);
}

void virtio_end(struct virtio_disk *d)
{
    close(d->fd);
}

/* Under qtest the guest's clock, by which QEMU throttles it, goes only as far as it is told to. */
static bool keep_time(struct virtio_disk *d)
{
    uint64_t now = xf_now_ns(), since = now - d->clock_ns;

    d->clock_ns = now;
    return say(d, NULL, "clock_step %" PRIu64 "\n", since);
}

static bool await(struct virtio_disk *d)
{
    int64_t until = xf_now_ms() + LIMIT_MS;
    uint64_t at = 0, status = 0;

    do {
        if (!keep_time(d) || !say(d, &at, "readw 0x%x\n", used(d) + 2))
            return false;
    } while ((uint16_t)at != d->done && xf_ms_left(until));
    return (uint16_t)at == d->done && say(d, &status, "readb 0x%x\n", STATUS) && !status;
}

bool virtio_write(struct virtio_disk *d, uint64_t block, uint8_t fill)
{
    uint32_t slot = avail(d) + 4 + 2u * (d->done % d->size);

    d->done++;
    return say(d, NULL, "memset 0x%x 0x%x 0x%x\n", DATA, BLOCK, fill) &&
           say(d, NULL, "writeq 0x%x 0x1\n", HEAD) &&
           say(d, NULL, "writeq 0x%x 0x%" PRIx64 "\n", HEAD + 8, block * (BLOCK / 512)) &&
           say(d, NULL, "writeb 0x%x 0xff\n", STATUS) && say(d, NULL, "writew 0x%x 0\n", slot) &&
           say(d, NULL, "writew 0x%x 0x%x\n", avail(d) + 2, d->done) &&
           say(d, NULL, "outw 0x%x 0\n", PORTS + 0x10) && await(d);
}
