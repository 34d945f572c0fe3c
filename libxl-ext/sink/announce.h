/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The network learns where a guest is now: see announce.c. Private to libxl-ext. */
#ifndef XF_ANNOUNCE_H
#define XF_ANNOUNCE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct xf_announce {
    uint32_t domid;
    bool running;
    pthread_t thread;
};

/*
 * The guest runs here since just now: have it announce itself as soon as its network is up.
 * Works in a thread of its own, with its own connection to xenstore. Fails silently: a guest
 * that has not been announced is reached as soon as it sends something by itself.
 */
void xf_announce_begin(struct xf_announce *a, uint32_t domid);

/* Wait until that is done, or has taken too long; at once if it was never begun. */
void xf_announce_end(struct xf_announce *a);

#endif
