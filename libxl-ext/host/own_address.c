/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which addresses of this machine a move uses: see own_address.h. */
#include "libxl-ext/host/own_address.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libxl-ext/host/config.h"
#include "transport/rdma/probe.h"

static void add_device(const char *name, struct xf_own *out)
{
    struct xf_rdma_device ports[XF_RDMA_DEVICES_MAX];
    int n = xf_rdma_devices(ports, XF_RDMA_DEVICES_MAX);

    for (int i = 0; i < n; i++)
        for (int k = 0; !strcmp(ports[i].name, name) && k < ports[i].nr_addr; k++)
            if (out->n < XF_OWN_MAX)
                memcpy(out->list[out->n++], ports[i].addr[k], XF_ADDR_LEN);
}

int xf_own_addresses(const char *name, struct xf_own *out, struct xf_err *err)
{
    out->n = 0;
    if (!name)
        return 0;
    if (xf_is_address(name)) {
        snprintf(out->list[out->n++], XF_ADDR_LEN, "%s", name);
        return 0;
    }
    add_device(name, out);
    if (!out->n)
        out->n = (unsigned)xf_interface_addresses(name, out->list, XF_OWN_MAX);
    if (out->n)
        return 0;
    return xf_fail(err, ENODEV,
                   "nothing here named \"%s\" has an address: --migration-address takes an address "
                   "of this host, a network interface or an RDMA device",
                   name);
}

const char *xf_own_for(const struct xf_own *own, const char *peer)
{
    bool six = strchr(peer, ':') != NULL;

    for (unsigned i = 0; i < own->n; i++)
        if ((strchr(own->list[i], ':') != NULL) == six)
            return own->list[i];
    return own->n ? own->list[0] : NULL;
}
