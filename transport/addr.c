/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The addresses a peer may reach this machine by, for every transport.
 */
#include "transport/transport.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

/* 0: of no use to a peer, 1: private (site or ULA), 2: global. */
static int scope(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        uint32_t a = ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr);

        if (a >> 24 == 127 || a >> 16 == 0xa9fe || a == INADDR_ANY)
            return 0;
        return a >> 24 == 10 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8 ? 1 : 2;
    }
    if (sa->sa_family == AF_INET6) {
        const struct in6_addr *a = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;

        if (IN6_IS_ADDR_LOOPBACK(a) || IN6_IS_ADDR_LINKLOCAL(a) || IN6_IS_ADDR_UNSPECIFIED(a) ||
            IN6_IS_ADDR_MULTICAST(a))
            return 0;
        return (a->s6_addr[0] & 0xfe) == 0xfc ? 1 : 2;
    }
    return 0;
}

/* name NULL: of every interface */
static int collect(const char *name, char out[][XF_ADDR_LEN], int max)
{
    struct ifaddrs *list, *i;
    int n = 0, want;

    if (getifaddrs(&list))
        return 0;
    for (want = 2; want >= 1; want--)
        for (i = list; i && n < max; i = i->ifa_next) {
            socklen_t len;

            if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) || (i->ifa_flags & IFF_LOOPBACK) ||
                scope(i->ifa_addr) != want || (name && strcmp(i->ifa_name, name)))
                continue;
            len = i->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                                    : sizeof(struct sockaddr_in6);
            if (getnameinfo(i->ifa_addr, len, out[n], XF_ADDR_LEN, NULL, 0, NI_NUMERICHOST) == 0)
                n++;
        }
    freeifaddrs(list);
    return n;
}

int xf_local_addresses(char out[][XF_ADDR_LEN], int max)
{
    return collect(NULL, out, max);
}

int xf_interface_addresses(const char *name, char out[][XF_ADDR_LEN], int max)
{
    return collect(name, out, max);
}
