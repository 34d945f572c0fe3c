/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libxl and the PCI devices of a domain, as far as they are asked for here: defines the functions
 * of libxl that list, add and remove them. It is included, and not linked as a helper, because
 * other tests must not get them.
 */
#ifndef XF_FAKE_PCI_H
#define XF_FAKE_PCI_H

#include <stdlib.h>
#include <string.h>

#include <libxl.h>
#include <libxl_event.h>

#include "libxl-ext/xen/pci.h"

#define FAKE_PCI_MAX 20

static struct {
    char has[FAKE_PCI_MAX][XF_PCI_ADDR]; /* the domain's devices; empty: none at this place */
    char assignable[FAKE_PCI_MAX][XF_PCI_ADDR];
    const char *clings; /* the guest does not release this one */
    int clings_rc;      /* ... and libxl says so; 0: it does not */
    const char *lost;   /* this one cannot be added */
    unsigned turns;     /* until an operation ends */
    unsigned removed, added, beforepolls;
    bool permissive, relaxed; /* of the last one added */
    bool begin_fails;
    /* the operation under way */
    libxl_asyncop_how how;
    unsigned left;
    bool busy, adds;
    char addr[XF_PCI_ADDR];
} pci;

static char *pci_place(char list[FAKE_PCI_MAX][XF_PCI_ADDR], const char *addr)
{
    for (unsigned i = 0; i < FAKE_PCI_MAX; i++)
        if (!strcmp(list[i], addr))
            return list[i];
    return NULL;
}

static libxl_device_pci *pci_list(char from[FAKE_PCI_MAX][XF_PCI_ADDR], int *num)
{
    libxl_device_pci *list = calloc(FAKE_PCI_MAX, sizeof(*list));

    *num = 0;
    for (unsigned i = 0; i < FAKE_PCI_MAX; i++) {
        struct xf_pci_parts p;

        if (!xf_pci_parse(from[i], &p))
            continue;
        libxl_device_pci_init(&list[*num]);
        list[*num].domain = (int)p.domain;
        list[*num].bus = (uint8_t)p.bus;
        list[*num].dev = (uint8_t)p.dev;
        list[(*num)++].func = (uint8_t)p.func;
    }
    if (*num)
        return list;
    free(list);
    return NULL;
}

libxl_device_pci *libxl_device_pci_list(libxl_ctx *ctx, uint32_t domid, int *num)
{
    (void)ctx;
    (void)domid;
    return pci_list(pci.has, num);
}

void libxl_device_pci_list_free(libxl_device_pci *list, int num)
{
    (void)num;
    free(list);
}

libxl_device_pci *libxl_device_pci_assignable_list(libxl_ctx *ctx, int *num)
{
    (void)ctx;
    return pci_list(pci.assignable, num);
}

void libxl_device_pci_assignable_list_free(libxl_device_pci *list, int num)
{
    (void)num;
    free(list);
}

static int pci_begin(const libxl_device_pci *d, const libxl_asyncop_how *how, bool adds)
{
    if (pci.begin_fails)
        return ERROR_FAIL;
    xf_pci_name(d, pci.addr);
    pci.how = *how;
    pci.adds = adds;
    pci.left = pci.turns;
    pci.busy = true;
    return 0;
}

int libxl_device_pci_remove(libxl_ctx *ctx, uint32_t domid, libxl_device_pci *d,
                            const libxl_asyncop_how *how)
{
    (void)ctx;
    (void)domid;
    return pci_begin(d, how, false);
}

int libxl_device_pci_add(libxl_ctx *ctx, uint32_t domid, libxl_device_pci *d,
                         const libxl_asyncop_how *how)
{
    (void)ctx;
    (void)domid;
    pci.permissive = d->permissive;
    pci.relaxed = d->rdm_policy == LIBXL_RDM_RESERVE_POLICY_RELAXED;
    return pci_begin(d, how, true);
}

int libxl_osevent_beforepoll(libxl_ctx *ctx, int *n, struct pollfd *fds, int *timeout,
                             struct timeval now)
{
    (void)ctx;
    (void)fds;
    (void)now;
    pci.beforepolls++;
    *n = 0;
    *timeout = 0;
    return 0;
}

static int pci_end(void)
{
    char *place;

    if (pci.adds) {
        if (pci.lost && !strcmp(pci.lost, pci.addr))
            return ERROR_FAIL;
        place = pci_place(pci.has, "");
        memcpy(place, pci.addr, XF_PCI_ADDR);
        pci.added++;
        return 0;
    }
    if (pci.clings && !strcmp(pci.clings, pci.addr))
        return pci.clings_rc;
    place = pci_place(pci.has, pci.addr);
    if (!place)
        return ERROR_INVAL;
    place[0] = 0;
    pci.removed++;
    return 0;
}

void libxl_osevent_afterpoll(libxl_ctx *ctx, int n, const struct pollfd *fds, struct timeval now)
{
    (void)n;
    (void)fds;
    (void)now;
    if (!pci.busy || pci.left--)
        return;
    pci.busy = false;
    pci.how.callback(ctx, pci_end(), pci.how.u.for_callback);
}

#endif
