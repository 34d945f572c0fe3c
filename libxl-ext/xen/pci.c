/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PCI devices passed through to a domain: see pci.h. */
#include "libxl-ext/xen/pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libxl-ext/xen/libxl_turn.h"

struct request {
    bool done;
    int rc;
};

static void on_done(libxl_ctx *ctx, int rc, void *priv)
{
    struct request *r = priv;

    (void)ctx;
    r->rc = rc;
    r->done = true;
}

void xf_pci_name(const libxl_device_pci *d, char out[XF_PCI_ADDR])
{
    const struct xf_pci_parts p = {(unsigned)d->domain, d->bus, d->dev, d->func};

    xf_pci_print(&p, out);
}

bool xf_pci_listed(const libxl_device_pci *list, int n, const char *addr)
{
    char name[XF_PCI_ADDR];

    for (int i = 0; i < n; i++) {
        xf_pci_name(&list[i], name);
        if (!strcmp(name, addr))
            return true;
    }
    return false;
}

typedef int operation(libxl_ctx *ctx, uint32_t domid, libxl_device_pci *d,
                      const libxl_asyncop_how *how);

/* libxl's result, when it has finished. */
static int wait_for(operation *op, libxl_ctx *ctx, uint32_t domid, const libxl_device_pci *d,
                    struct xf_tick tick)
{
    struct request r = {0};
    const libxl_asyncop_how how = {.callback = on_done, .u.for_callback = &r};
    libxl_device_pci copy = *d; /* libxl only reads it, but does not say so */
    int rc = op(ctx, domid, &copy, &how);

    if (rc)
        return rc;
    while (!r.done) {
        xf_libxl_turn(ctx);
        xf_tick(tick, NULL);
    }
    return r.rc;
}

static bool has(libxl_ctx *ctx, uint32_t domid, const char *addr)
{
    int n = 0;
    libxl_device_pci *list = libxl_device_pci_list(ctx, domid, &n);
    bool found = xf_pci_listed(list, n, addr);

    libxl_device_pci_list_free(list, n);
    return found;
}

int xf_pci_detach(libxl_ctx *ctx, struct xf_toollog *log, uint32_t domid, const libxl_device_pci *d,
                  struct xf_tick tick, struct xf_err *err)
{
    int rc = wait_for(libxl_device_pci_remove, ctx, domid, d, tick);
    char name[XF_PCI_ADDR], why[300];

    xf_pci_name(d, name);
    xf_toollog_last(log, why, sizeof(why));
    if (!rc && !has(ctx, domid, name))
        return 0;
    if (!rc) /* a PV guest: libxl does not look at whether it has released it */
        return xf_fail(err, EBUSY,
                       "the guest did not release PCI device %s (%s), and libxl has revoked its "
                       "access nevertheless: unload its driver in the guest, `xl pci-detach -f` "
                       "it, and `xl pci-attach` it again",
                       name, why);
    return xf_fail(err, EBUSY,
                   "the guest did not release PCI device %s (%s); does its driver for it let it be "
                   "unplugged?",
                   name, rc == ERROR_TIMEDOUT ? "no answer within 10 s" : why);
}

int xf_pci_attach(libxl_ctx *ctx, struct xf_toollog *log, uint32_t domid, const libxl_device_pci *d,
                  struct xf_err *err)
{
    int rc = wait_for(libxl_device_pci_add, ctx, domid, d, (struct xf_tick){0});
    char name[XF_PCI_ADDR], why[300];

    xf_pci_name(d, name);
    xf_toollog_last(log, why, sizeof(why));
    if (!rc && has(ctx, domid, name))
        return 0;
    return xf_fail(err, EIO, "PCI device %s could not be attached (%s)", name, why);
}
