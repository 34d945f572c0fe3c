/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disk rings of a suspended guest: see qdisk_ring.h. */
#include "libxl-ext/xen/qdisk_ring.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xengnttab.h>
#include <xenstore.h>

#include <xen/io/blkif.h>
#include <xen/io/xenbus.h>

#include "transport/clock.h"

#define LOOK_US 1000

/* -1: no such number. A value written by the guest is checked by Xen when it is mapped. */
static long long number(struct xs_handle *xs, const char *dir, const char *node)
{
    char path[128], *text, *end;
    long long v = -1;
    unsigned len;

    snprintf(path, sizeof(path), "%s/%s", dir, node);
    text = xs_read(xs, XBT_NULL, path, &len);
    if (text) {
        v = strtoll(text, &end, 10);
        if (end == text || *end || v < 0 || v > UINT32_MAX)
            v = -1;
    }
    free(text);
    return v;
}

/* Has every request been answered? The guest will see no further answers; it repeats the other
 * requests at the destination. */
static bool rests(const volatile struct blkif_sring *ring)
{
    return ring->req_prod == ring->rsp_prod;
}

static int rest(xengnttab_handle *xgt, struct xs_handle *xs, uint32_t domid, const char *devid,
                int64_t until, struct xf_err *err)
{
    char front[64];
    struct blkif_sring *ring;
    long long ref;
    int rc = 0;

    snprintf(front, sizeof(front), "/local/domain/%u/device/vbd/%.20s", domid, devid);
    if (number(xs, front, "state") != XenbusStateConnected)
        return 0;
    ref = number(xs, front, "ring-ref");
    if (ref < 0)
        ref = number(xs, front, "ring-ref0"); /* the counters are in the first page */
    if (ref < 0)
        return xf_fail(err, EINVAL, "the guest does not say where the ring of its disk %s is",
                       devid);
    ring = xengnttab_map_grant_ref(xgt, domid, (uint32_t)ref, PROT_READ);
    if (!ring)
        return xf_fail(err, errno, "cannot map the ring of disk %s: %s", devid, strerror(errno));
    while (!rc && !rests(ring)) {
        if (xf_now_ms() > until)
            rc = xf_fail(err, EBUSY, "QEMU does not finish the guest's requests to disk %s", devid);
        else
            usleep(LOOK_US);
    }
    xengnttab_unmap(xgt, ring, 1);
    return rc;
}

int xf_qdisk_rings_rest(uint32_t domid, const char (*devids)[24], unsigned n, int timeout_ms,
                        struct xf_err *err)
{
    int64_t until = xf_now_ms() + timeout_ms;
    xengnttab_handle *xgt = xengnttab_open(NULL, 0);
    struct xs_handle *xs = xs_open(0);
    int rc = 0;

    if (!xgt || !xs)
        rc = xf_fail(err, errno, "cannot open %s: %s", xgt ? "xenstore" : "Xen's grant tables",
                     strerror(errno));
    for (unsigned i = 0; i < n && !rc; i++)
        rc = rest(xgt, xs, domid, devids[i], until, err);
    if (xs)
        xs_close(xs);
    if (xgt)
        xengnttab_close(xgt);
    return rc;
}
