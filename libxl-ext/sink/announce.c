/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * After a move the switches, and the destination's own bridge, still send the guest's frames to its
 * old host until a frame from the guest arrives by the new path. Linux's and FreeBSD's netfront
 * send one (a gratuitous ARP, an unsolicited neighbour advertisement) when their backend becomes
 * connected. But the bridge forwards nothing from the backend's interface until it notices the
 * carrier, which is later: the frame is lost, and a guest that only answers is unreachable until
 * the switches forget it (docs/xen-notes.md).
 *
 * So the guest is made to send it again once the path is open: netfront acts on every write to its
 * backend's state (xenbus_otherend_changed(), Linux drivers/xen/xenbus/xenbus_probe.c), even of an
 * unchanged value. The guest itself knows best what to announce, and any switch here (a bridge,
 * Open vSwitch) learns from it.
 */
#include "libxl-ext/sink/announce.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <xen/io/xenbus.h>

#include "libxl-ext/xen/vif.h"
#include "transport/clock.h"

#define LIMIT_MS 30000 /* until its network is up: under emulation some 10 s after GO */
#define POLL_US 20000
#define ROUNDS 3 /* of announcements: a switch may lose one */
#define BETWEEN_MS 150

struct vif {
    struct xf_vif at;
    unsigned said; /* announcements */
    int64_t next_ms;
};

/* A port of a Linux bridge shows whether it forwards frames; of others that is unknown. */
static bool lets_through(const struct vif *v)
{
    char path[128], state = 0;
    int fd;

    if (strchr(v->at.name, '/'))
        return true;
    snprintf(path, sizeof(path), "/sys/class/net/%s/brport/state", v->at.name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    if (read(fd, &state, 1) != 1)
        state = 0;
    close(fd);
    return state == '3'; /* BR_STATE_FORWARDING, linux/if_bridge.h */
}

/* True once nothing remains to be done for v. */
static bool step(struct xs_handle *xs, struct vif *v)
{
    int64_t now = xf_now_ms();
    int state;

    if (v->said < ROUNDS && now >= v->next_ms && lets_through(v)) {
        switch (xf_vif_set_state(xs, &v->at, XenbusStateConnected, XenbusStateConnected, &state)) {
        case XF_VIF_SET:
            v->said++;
            v->next_ms = now + BETWEEN_MS;
            break;
        case XF_VIF_OTHER:
            if (state == 0 || state > XenbusStateConnected)
                v->said = ROUNDS; /* gone, or closing */
            break;
        case XF_VIF_BUSY:
            break;
        }
    }
    return v->said == ROUNDS;
}

static void *announce(void *arg)
{
    const struct xf_announce *a = arg;
    int64_t until = xf_now_ms() + LIMIT_MS;
    struct xs_handle *xs = xs_open(0);
    struct xf_vif list[XF_VIFS_MAX];
    struct vif v[XF_VIFS_MAX] = {0};
    bool all;
    unsigned n = xs ? xf_vif_list(xs, a->domid, list, &all) : 0, left = n;

    for (unsigned i = 0; i < n; i++)
        v[i].at = list[i];
    while (left && xf_now_ms() < until) {
        left = 0;
        for (unsigned i = 0; i < n; i++)
            left += !step(xs, &v[i]);
        if (left)
            usleep(POLL_US);
    }
    if (xs)
        xs_close(xs);
    return NULL;
}

void xf_announce_begin(struct xf_announce *a, uint32_t domid)
{
    a->domid = domid;
    a->running = pthread_create(&a->thread, NULL, announce, a) == 0;
}

void xf_announce_end(struct xf_announce *a)
{
    if (a->running)
        pthread_join(a->thread, NULL);
    a->running = false;
}
