/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which transport a move uses: see choice.h. */
#include "libxl-ext/peer/choice.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *xf_rdma_state_word(enum xf_rdma_state s)
{
    static const char *const words[XF_RDMA_STATES] = {
        [XF_RDMA_UNASKED] = "unasked",     [XF_RDMA_READY] = "ready",
        [XF_RDMA_NO_DEVICE] = "no-device", [XF_RDMA_DOWN] = "down",
        [XF_RDMA_UNUSABLE] = "unusable",   [XF_RDMA_NO_ADDRESS] = "no-address",
        [XF_RDMA_MEMLOCK] = "memlock",     [XF_RDMA_REGISTRATION] = "registration"};

    return s < XF_RDMA_STATES ? words[s] : "?";
}

static bool wanted(const char *addr, const char only[][XF_ADDR_LEN], unsigned nr_only)
{
    for (unsigned i = 0; i < nr_only; i++)
        if (!strcmp(addr, only[i]))
            return true;
    return nr_only == 0;
}

static void add_addresses(const struct xf_rdma_device *port, const char only[][XF_ADDR_LEN],
                          unsigned nr_only, struct xf_rdma_side *out)
{
    for (int i = 0; i < port->nr_addr && out->nr_addresses < XF_RDMA_ADDRS_MAX; i++)
        if (wanted(port->addr[i], only, nr_only))
            memcpy(out->addresses[out->nr_addresses++], port->addr[i], XF_ADDR_LEN);
}

void xf_rdma_judge(const struct xf_rdma_device *ports, int n, const char only[][XF_ADDR_LEN],
                   unsigned nr_only, const struct xf_err *memlock, struct xf_rdma_side *out)
{
    const struct xf_rdma_device *down = NULL, *active = NULL, *unusable = NULL;

    memset(out, 0, sizeof(*out));
    for (int i = 0; i < n; i++) {
        if (!ports[i].usable)
            unusable = &ports[i];
        else if (!ports[i].active)
            down = &ports[i];
        else
            active = &ports[i];
        if (active == &ports[i])
            add_addresses(active, only, nr_only, out);
    }
    if (active && out->nr_addresses && !memlock) {
        out->state = XF_RDMA_READY;
        return;
    }
    if (active && !out->nr_addresses && nr_only) {
        out->state = XF_RDMA_NO_ADDRESS;
        snprintf(out->why, sizeof(out->why),
                 "no active RDMA port has the address %s; name one that has, or its device",
                 only[0]);
    } else if (active && !out->nr_addresses) {
        out->state = XF_RDMA_NO_ADDRESS;
        snprintf(out->why, sizeof(out->why),
                 "port %u of %s has no IP address; give its network interface one", active->port,
                 active->name);
    } else if (active) {
        out->state = memlock->num == ENOMEM ? XF_RDMA_MEMLOCK : XF_RDMA_REGISTRATION;
        snprintf(out->why, sizeof(out->why), "%.*s", (int)sizeof(out->why) - 1, memlock->text);
    } else if (down) {
        out->state = XF_RDMA_DOWN;
        snprintf(out->why, sizeof(out->why),
                 "port %u of %s is not active (%s); bring its link up, `rdma link` shows it",
                 down->port, down->name, down->state);
    } else if (unusable) {
        out->state = XF_RDMA_UNUSABLE;
        snprintf(out->why, sizeof(out->why),
                 "%s is neither InfiniBand nor RoCE, which a move needs; use another device",
                 unusable->name);
    } else {
        out->state = XF_RDMA_NO_DEVICE;
        snprintf(out->why, sizeof(out->why),
                 "there is no RDMA device; if there should be one, load its driver, ib_uverbs "
                 "and rdma_ucm");
    }
    out->nr_addresses = 0;
}

void xf_rdma_look(const struct xf_link_cfg *cfg, const char only[][XF_ADDR_LEN], unsigned nr_only,
                  struct xf_rdma_side *out)
{
    struct xf_rdma_device ports[XF_RDMA_DEVICES_MAX];
    struct xf_err memlock = {0};
    int n = xf_rdma_devices(ports, XF_RDMA_DEVICES_MAX);

    xf_rdma_judge(ports, n, only, nr_only, NULL, out);
    if (out->state == XF_RDMA_READY && xf_rdma_memlock_ok(xf_rdma_memory(cfg), &memlock))
        xf_rdma_judge(ports, n, only, nr_only, &memlock, out);
}

enum xf_choice xf_choose(enum xf_transport wish, const struct xf_rdma_side *here,
                         const struct xf_rdma_side *there, const struct xf_err *route, char *why,
                         size_t size)
{
    const char *where = "", *reason = "the devices have not been checked";

    if (size)
        why[0] = 0;
    if (wish == XF_TRANSPORT_TCP)
        return XF_CHOICE_TCP;
    if (here->state != XF_RDMA_READY) {
        where = "here ";
        reason = here->state ? here->why : reason;
    } else if (there->state != XF_RDMA_READY) {
        where = "at the destination ";
        reason = there->state ? there->why : reason;
    } else if (route) {
        reason = route->text;
    } else {
        return XF_CHOICE_RDMA;
    }
    if (wish == XF_TRANSPORT_RDMA) {
        snprintf(why, size, "RDMA is not possible: %s%s; or move with --tcp", where, reason);
        return XF_CHOICE_NONE;
    }
    snprintf(why, size, "memory goes over TCP because RDMA is not possible: %s%s", where, reason);
    return XF_CHOICE_TCP;
}
