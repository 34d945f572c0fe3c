/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * getaddrinfo() with the error convention of the tree.
 */
#ifndef XF_LOOKUP_H
#define XF_LOOKUP_H

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "transport/err.h"

static inline int xf_lookup(const char *host, uint16_t port, int flags, int family,
                            struct addrinfo **out, struct xf_err *err)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
    char service[8];
    int rc;

    hints.ai_flags = flags | AI_NUMERICSERV;
    snprintf(service, sizeof(service), "%u", port);
    rc = getaddrinfo(host, service, &hints, out);
    if (rc == EAI_SYSTEM)
        return xf_fail(err, errno, "%s", strerror(errno));
    if (rc)
        return xf_fail(err, rc == EAI_MEMORY ? ENOMEM : EADDRNOTAVAIL, "%s", gai_strerror(rc));
    return 0;
}

#endif
