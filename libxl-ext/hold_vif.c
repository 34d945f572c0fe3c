/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Linux's netback takes what a guest sends in softirq context, by grant copy and grant map. If
 * Xen answers that the page is absent for now (GNTST_eagain), gnttab_retry_eagain_gop()
 * (drivers/xen/grant-table.c) sleeps, which must not be there: "scheduling while atomic". And a
 * guest can send pages that it has never touched (sendfile), so no choice of pages that go
 * first is safe.
 *
 * So the network waits until every page is in. After a move the guest's netfront begins anew
 * and connects when its backend says InitWait; that is all it looks at. The backend goes by
 * what the frontend says, not by its own word in xenstore. So that word is taken back to
 * Initialising before GO and given again when PULL is over: nothing in dom0 is patched,
 * and no frontend needs to know.
 */
#include "libxl-ext/hold_vif.h"

#include <errno.h>

#include <xen/io/xenbus.h>

#include "libxl-ext/vif.h"

#define TRIES 50

/* *nr: how many interfaces there are. */
static int change(uint32_t domid, int from, int to, unsigned *nr, struct xf_err *err)
{
    struct xs_handle *xs = xs_open(0);
    struct xf_vif list[XF_VIFS_MAX];
    bool all;
    unsigned n;
    int rc = 0;

    if (!xs)
        return xf_fail(err, errno, "cannot reach xenstore: the guest's network is as it was");
    n = xf_vif_list(xs, domid, list, &all);
    *nr = n;
    for (unsigned i = 0; i < n && !rc; i++) {
        enum xf_vif_set set = XF_VIF_BUSY;
        int state = 0;

        for (int k = 0; k < TRIES && set == XF_VIF_BUSY; k++)
            set = xf_vif_set_state(xs, &list[i], from, to, &state);
        /* Back to InitWait: a backend that is closing, or gone, shall stay so. */
        if (set == XF_VIF_SET || (set == XF_VIF_OTHER && to == XenbusStateInitWait))
            continue;
        rc = xf_fail(err, EBUSY, "the network backend %s is in state %d instead of %d",
                     list[i].name, state, from);
    }
    xs_close(xs);
    if (!rc && !all)
        rc = xf_fail(err, EIO,
                     "not all network interfaces of the guest were found in xenstore, or there are "
                     "more than %u: with --precopy none has to be held back",
                     XF_VIFS_MAX);
    return rc;
}

int xf_hold_vif_begin(struct xf_hold_vif *h, uint32_t domid, struct xf_err *err)
{
    h->domid = domid;
    h->held = true; /* some of it, even if it fails */
    return change(domid, XenbusStateInitWait, XenbusStateInitialising, &h->nr, err);
}

int xf_hold_vif_end(struct xf_hold_vif *h, struct xf_err *err)
{
    unsigned now;

    if (!h->held)
        return 0;
    if (change(h->domid, XenbusStateInitialising, XenbusStateInitWait, &now, err))
        return -1;
    h->held = false;
    return 0;
}
