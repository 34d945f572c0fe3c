/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * After a move the switches, and the destination's own bridge, still send what is for the
 * guest to its old host, until a frame from it comes the new way. Linux's and FreeBSD's
 * netfront send one (a gratuitous ARP, an unsolicited neighbour advertisement) when their
 * backend becomes connected; but the bridge forwards nothing from the backend's interface
 * before its carrier has been noticed, which is later: the frame is lost, and a guest that
 * only answers is gone from the network until the switches forget it (docs/xen-notes.md).
 *
 * So it is asked to send them again once the way is open: netfront acts on every write to its
 * backend's state (xenbus_otherend_changed(), Linux drivers/xen/xenbus/xenbus_probe.c), also
 * of what is there already. The guest itself knows best what it has to announce, and whatever
 * switches frames here (a bridge, Open vSwitch) learns from it.
 */
#include "libxl-ext/announce.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xen/io/xenbus.h>
#include <xenstore.h>

#include "transport/clock.h"

#define LIMIT_MS 30000 /* until its network is up: under emulation some 10 s after GO */
#define POLL_US 20000
#define VIFS_MAX 64
#define ROUNDS 3 /* of announcements: a switch, too, may lose one */
#define BETWEEN_MS 150

struct vif {
    char backend[128]; /* its directory in xenstore */
    char name[64];     /* of the interface in this dom0 */
    unsigned said;     /* announcements */
    int64_t next_ms;
};

static char *value(struct xs_handle *xs, const char *dir, const char *node)
{
    char path[256];
    unsigned len;

    snprintf(path, sizeof(path), "%s/%s", dir, node);
    return xs_read(xs, XBT_NULL, path, &len);
}

/* What libxl wrote down; the guest cannot write there. */
static unsigned list_vifs(struct xs_handle *xs, uint32_t domid, struct vif *v)
{
    char dir[64], node[96], *backend, *name, **ids;
    unsigned n = 0, found = 0;

    snprintf(dir, sizeof(dir), "/libxl/%u/device/vif", domid);
    ids = xs_directory(xs, XBT_NULL, dir, &found);
    for (unsigned i = 0; ids && i < found && n < VIFS_MAX; i++) {
        snprintf(node, sizeof(node), "%.20s/backend", ids[i]);
        backend = value(xs, dir, node);
        if (!backend || strlen(backend) >= sizeof(v[n].backend)) {
            free(backend);
            continue;
        }
        v[n] = (struct vif){0};
        snprintf(v[n].backend, sizeof(v[n].backend), "%s", backend);
        name = value(xs, backend, "vifname");
        if (name)
            snprintf(v[n].name, sizeof(v[n].name), "%s", name);
        else
            snprintf(v[n].name, sizeof(v[n].name), "vif%u.%.20s", domid, ids[i]);
        free(name);
        free(backend);
        n++;
    }
    free(ids);
    return n;
}

/* A port of Linux's bridge says whether it lets frames through; about others we know nothing. */
static bool lets_through(const struct vif *v)
{
    char path[128], state = 0;
    int fd;

    if (strchr(v->name, '/'))
        return true;
    snprintf(path, sizeof(path), "/sys/class/net/%s/brport/state", v->name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    if (read(fd, &state, 1) != 1)
        state = 0;
    close(fd);
    return state == '3'; /* BR_STATE_FORWARDING, linux/if_bridge.h */
}

enum touched { NOT_YET, DONE, TOO_LATE };

/* Write the state "connected" over itself, in a transaction: nobody's change is undone. */
static enum touched touch(struct xs_handle *xs, const struct vif *v)
{
    enum touched rc = NOT_YET;
    char path[160], *state;
    xs_transaction_t t;
    unsigned len;

    snprintf(path, sizeof(path), "%s/state", v->backend);
    t = xs_transaction_start(xs);
    if (t == XBT_NULL)
        return NOT_YET;
    state = xs_read(xs, t, path, &len);
    if (!state || atoi(state) > XenbusStateConnected)
        rc = TOO_LATE; /* it is closing, or gone */
    else if (atoi(state) == XenbusStateConnected && xs_write(xs, t, path, state, len))
        rc = DONE;
    free(state);
    return xs_transaction_end(xs, t, rc != DONE) || rc != DONE ? rc : NOT_YET;
}

/* True once nothing more is to be done for v. */
static bool step(struct xs_handle *xs, struct vif *v)
{
    int64_t now = xf_now_ms();

    if (v->said < ROUNDS && now >= v->next_ms && lets_through(v)) {
        switch (touch(xs, v)) {
        case NOT_YET:
            break;
        case DONE:
            v->said++;
            v->next_ms = now + BETWEEN_MS;
            break;
        case TOO_LATE:
            v->said = ROUNDS;
        }
    }
    return v->said == ROUNDS;
}

static void *announce(void *arg)
{
    const struct xf_announce *a = arg;
    int64_t until = xf_now_ms() + LIMIT_MS;
    struct xs_handle *xs = xs_open(0);
    struct vif *v = calloc(VIFS_MAX, sizeof(*v));
    unsigned n = xs && v ? list_vifs(xs, a->domid, v) : 0, left = n;

    while (left && xf_now_ms() < until) {
        left = 0;
        for (unsigned i = 0; i < n; i++)
            left += !step(xs, &v[i]);
        if (left)
            usleep(POLL_US);
    }
    free(v);
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
