/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* This host's network interfaces: the one that a move uses, and whether a faster one lies idle. Of
 * sysfs; nothing is changed, and no interface is asked anything. Private to libxl-ext. */
#ifndef XF_NICS_H
#define XF_NICS_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "transport/transport.h"

#define XF_NICS_MAX 32

/* Where the kernel lists them; tests have one of their own. */
#define XF_NICS_DIR "/sys/class/net"

struct xf_nic {
    char name[IFNAMSIZ];
    double bytes_per_s; /* of the line, as its driver says */
    uint64_t bytes;     /* through it so far, both directions */
    bool ours;          /* the move's interface is it, or is on top of it (a bridge, a VLAN) */
};

/* The network cards that have a link and whose speed is known. */
struct xf_nics {
    unsigned n;
    struct xf_nic list[XF_NICS_MAX];
    double seconds; /* when, CLOCK_MONOTONIC */
};

/* The interface of this host from which `peer` (numeric) is reached; src: the address that the move
 * uses here, or NULL. False: unknown. */
bool xf_nics_route(const char *peer, const char *src, char name[IFNAMSIZ]);

/* Look at all of them; `used` is the move's interface. */
void xf_nics_look(const char *dir, const char *used, struct xf_nics *out);

/* The line speed of the move's interface, bytes per second; < 0: unknown. */
double xf_nics_speed(const struct xf_nics *now);

/* Of two looks: the fastest card that is not the move's, is at least half as fast again as the move
 * is, and carried next to nothing in between. NULL: none. move_bps: what the move gets, or the
 * speed of its line; bytes per second. */
const struct xf_nic *xf_nics_idle(const struct xf_nics *before, const struct xf_nics *now,
                                  double move_bps);

#endif
