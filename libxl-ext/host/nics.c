/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* This host's network interfaces: see nics.h. */
#include "libxl-ext/host/nics.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <ifaddrs.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/clock.h"

#define FASTER 1.5
#define IDLE_PART 0.01 /* of its speed */
#define DEPTH 4        /* VLAN on a bridge on a bond on a card */

static bool same_address(const struct sockaddr *a, const struct sockaddr *b)
{
    if (!a || a->sa_family != b->sa_family)
        return false;
    if (a->sa_family == AF_INET)
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    return a->sa_family == AF_INET6 &&
           !memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
                   &((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr));
}

/* The local address that the kernel chooses for this peer: a datagram socket sends nothing when it
 * is connected. */
static bool local_address(const char *peer, const char *src, struct sockaddr_storage *out)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_DGRAM};
    struct addrinfo *to = NULL;
    socklen_t len = sizeof(*out);
    bool known = false;
    int fd = -1;

    if (getaddrinfo(src ? src : peer, "9", &hints, &to))
        return false;
    if (src) {
        memcpy(out, to->ai_addr, to->ai_addrlen);
        known = true;
    } else {
        fd = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        known = fd >= 0 && !connect(fd, to->ai_addr, to->ai_addrlen) &&
                !getsockname(fd, (struct sockaddr *)out, &len);
    }
    if (fd >= 0)
        close(fd);
    freeaddrinfo(to);
    return known;
}

bool xf_nics_route(const char *peer, const char *src, char name[IFNAMSIZ])
{
    struct sockaddr_storage local;
    struct ifaddrs *list = NULL;
    bool found = false;

    if (!local_address(peer, src, &local) || getifaddrs(&list))
        return false;
    for (const struct ifaddrs *i = list; i && !found; i = i->ifa_next)
        if (same_address(i->ifa_addr, (struct sockaddr *)&local)) {
            snprintf(name, IFNAMSIZ, "%s", i->ifa_name);
            found = true;
        }
    freeifaddrs(list);
    return found;
}

/* A number from a file of one interface; -1: there is none. */
static long long number(const char *dir, const char *name, const char *file)
{
    char path[PATH_MAX];
    long long n = -1;
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s/%s", dir, name, file);
    f = fopen(path, "re");
    if (f && fscanf(f, "%lld", &n) != 1)
        n = -1;
    if (f)
        fclose(f);
    return n;
}

/* Is `upper` this interface, or on top of it? */
static bool is_on(const char *dir, const char *upper, const char *name, unsigned depth)
{
    char path[PATH_MAX];
    struct dirent *e;
    bool found = false;
    DIR *d;

    if (!strcmp(upper, name))
        return true;
    snprintf(path, sizeof(path), "%s/%s", dir, upper);
    d = depth ? opendir(path) : NULL;
    while (d && !found && (e = readdir(d)))
        if (!strncmp(e->d_name, "lower_", 6))
            found = is_on(dir, e->d_name + 6, name, depth - 1);
    if (d)
        closedir(d);
    return found;
}

/* The speed of a card with a link, bytes per second; < 0: it is no card, has no link, or none that
 * is known. */
static double card_speed(const char *dir, const char *name)
{
    char path[PATH_MAX];
    long long mbit;

    snprintf(path, sizeof(path), "%s/%s/device", dir, name);
    if (access(path, F_OK) || number(dir, name, "carrier") != 1)
        return -1;
    mbit = number(dir, name, "speed");
    return mbit > 0 ? (double)mbit * 1e6 / 8 : -1;
}

void xf_nics_look(const char *dir, const char *used, struct xf_nics *out)
{
    struct dirent *e;
    DIR *d = opendir(dir);

    out->n = 0;
    out->seconds = xf_now();
    while (d && (e = readdir(d)) && out->n < XF_NICS_MAX) {
        struct xf_nic *nic = &out->list[out->n];
        long long rx, tx;

        if (e->d_name[0] == '.' || strlen(e->d_name) >= IFNAMSIZ)
            continue;
        nic->bytes_per_s = card_speed(dir, e->d_name);
        if (nic->bytes_per_s < 0)
            continue;
        rx = number(dir, e->d_name, "statistics/rx_bytes");
        tx = number(dir, e->d_name, "statistics/tx_bytes");
        snprintf(nic->name, sizeof(nic->name), "%s", e->d_name);
        nic->bytes = (uint64_t)(rx > 0 ? rx : 0) + (uint64_t)(tx > 0 ? tx : 0);
        nic->ours = is_on(dir, used, e->d_name, DEPTH);
        out->n++;
    }
    if (d)
        closedir(d);
}

double xf_nics_speed(const struct xf_nics *now)
{
    double speed = -1;

    for (unsigned i = 0; i < now->n; i++)
        if (now->list[i].ours && now->list[i].bytes_per_s > speed)
            speed = now->list[i].bytes_per_s;
    return speed;
}

static const struct xf_nic *find(const struct xf_nics *in, const char *name)
{
    for (unsigned i = 0; i < in->n; i++)
        if (!strcmp(in->list[i].name, name))
            return &in->list[i];
    return NULL;
}

const struct xf_nic *xf_nics_idle(const struct xf_nics *before, const struct xf_nics *now,
                                  double move_bps)
{
    double seconds = now->seconds - before->seconds;
    const struct xf_nic *best = NULL;

    if (move_bps <= 0 || seconds <= 0)
        return NULL;
    for (unsigned i = 0; i < now->n; i++) {
        const struct xf_nic *nic = &now->list[i], *was = find(before, nic->name);

        if (nic->ours || !was || nic->bytes < was->bytes || nic->bytes_per_s < FASTER * move_bps ||
            (double)(nic->bytes - was->bytes) / seconds > IDLE_PART * nic->bytes_per_s)
            continue;
        if (!best || nic->bytes_per_s > best->bytes_per_s)
            best = nic;
    }
    return best;
}
