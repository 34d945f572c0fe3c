/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Announcing a guest's new location to the network: see announce.c. Private to libxl-ext. */
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
 * The guest has just begun to run here: have it announce itself as soon as its network is up. Works
 * in a thread of its own, with its own connection to xenstore. Fails silently: a guest that was not
 * announced becomes reachable as soon as it sends something itself.
 */
void xf_announce_begin(struct xf_announce *a, uint32_t domid);

/* Wait until the announcement is done or has timed out; returns at once if it was never begun. */
void xf_announce_end(struct xf_announce *a);

#endif
