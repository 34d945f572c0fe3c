/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Linux's netback fetches a guest's packets in softirq context, by grant copy and grant map. If Xen
 * answers that a page is absent for now (GNTST_eagain), gnttab_retry_eagain_gop()
 * (drivers/xen/grant-table.c) sleeps, which is forbidden there: "scheduling while atomic". And a
 * guest can send pages that it has never touched (sendfile), so no choice of pages to send first is
 * safe.
 *
 * So the network is held until every page is in, independently of the guest: dom0's interface is
 * down. netback enables its polling and its interrupts only while the interface is up (xenvif_up()
 * in drivers/net/xen-netback/interface.c, called by xenvif_open() and, if the interface is up, by
 * xenvif_carrier_on()), so a frontend may connect at any time without anything being read from its
 * ring. Bridge, addresses and settings stay; routes are restored.
 *
 * A well-behaved frontend shall not even connect, or it would believe its network to be up: after a
 * move Linux's netfront starts over and connects when its backend is in InitWait. So that state is
 * also set back to Initialising. The backend acts on the frontend's state, not on its own in
 * xenstore.
 */
#include "libxl-ext/sink/hold_vif.h"

#include <errno.h>
#include <string.h>

#include <json-c/json.h>
#include <xen/io/xenbus.h>

#define TRIES 50

int xf_hold_vif_possible(const char *config, struct xf_err *why)
{
    struct json_object *root = json_tokener_parse(config), *nics = NULL, *x;
    size_t n = 0;
    int rc = 0;

    if (!root || !json_object_is_type(root, json_type_object)) {
        json_object_put(root);
        return xf_fail(why, EINVAL, "the guest's configuration cannot be read");
    }
    if (json_object_object_get_ex(root, "nics", &nics) &&
        json_object_is_type(nics, json_type_array))
        n = json_object_array_length(nics);
    for (size_t i = 0; i < n && !rc; i++) {
        struct json_object *nic = json_object_array_get_idx(nics, i);
        bool away = false;

        if (json_object_object_get_ex(nic, "backend_domid", &x))
            away = json_object_get_int64(x) != 0;
        if (json_object_object_get_ex(nic, "backend_domname", &x) && json_object_get_string(x))
            away = away || *json_object_get_string(x);
        if (away)
            rc = xf_fail(
                why, EOPNOTSUPP,
                "a network interface of the guest is served by a domain other than dom0, where it "
                "cannot be kept waiting for pages; leave out backend= in its vif for post-copy");
    }
    json_object_put(root);
    return rc;
}

/* Set the state that its frontend sees. */
static int set_state(struct xs_handle *xs, const struct xf_vif *v, int from, int to,
                     struct xf_err *err)
{
    enum xf_vif_set set = XF_VIF_BUSY;
    int state = 0;

    for (int k = 0; k < TRIES && set == XF_VIF_BUSY; k++)
        set = xf_vif_set_state(xs, v, from, to, &state);
    /* Setting it back to InitWait: a backend that is closing, gone, or connected to a frontend that
     * did not wait shall stay so. */
    if (set == XF_VIF_SET || (set == XF_VIF_OTHER && to == XenbusStateInitWait))
        return 0;
    return xf_fail(err, EBUSY, "the network backend %s is in state %d instead of %d", v->name,
                   state, from);
}

static struct xs_handle *reach(struct xf_err *err)
{
    struct xs_handle *xs = xs_open(0);

    if (!xs)
        xf_fail(err, errno, "cannot reach xenstore: the guest's network was left as it was");
    return xs;
}

int xf_hold_vif_begin(struct xf_hold_vif *h, uint32_t domid, struct xf_err *err)
{
    struct xs_handle *xs = reach(err);
    struct xf_vif list[XF_VIFS_MAX];
    bool all;
    int rc = 0;

    h->domid = domid;
    h->held = true; /* partly, even after a failure */
    if (!xs)
        return -1;
    h->nr = xf_vif_list(xs, domid, list, &all);
    for (unsigned i = 0; i < h->nr && !rc; i++)
        if (xf_vif_link_find(&h->link[i], "/sys", list[i].backend, err) ||
            xf_vif_link_down(&h->link[i], err) ||
            set_state(xs, &list[i], XenbusStateInitWait, XenbusStateInitialising, err))
            rc = -1;
    xs_close(xs);
    if (!rc && !all)
        rc = xf_fail(err, EIO,
                     "not all network interfaces of the guest were found in xenstore, or there are "
                     "more than %u: use --precopy, which does not hold them back",
                     XF_VIFS_MAX);
    return rc;
}

int xf_hold_vif_keep(struct xf_hold_vif *h, struct xf_err *err)
{
    int rc = 0;

    for (unsigned i = 0; h->held && i < h->nr; i++)
        if (xf_vif_link_keep_down(&h->link[i], err))
            rc = -1;
    return rc;
}

int xf_hold_vif_end(struct xf_hold_vif *h, struct xf_err *err)
{
    struct xf_vif list[XF_VIFS_MAX];
    struct xs_handle *xs;
    bool all;
    unsigned n;
    int rc = 0;

    if (!h->held)
        return 0;
    xs = reach(err);
    if (!xs)
        return -1;
    /* Do everything possible, whatever fails. */
    for (unsigned i = 0; i < h->nr; i++)
        if (xf_vif_link_up(&h->link[i], err))
            rc = -1;
    n = xf_vif_list(xs, h->domid, list, &all);
    for (unsigned i = 0; i < n; i++)
        if (set_state(xs, &list[i], XenbusStateInitialising, XenbusStateInitWait, err))
            rc = -1;
    xs_close(xs);
    if (!rc && !all)
        rc = xf_fail(err, EIO, "not all of its network interfaces were found in xenstore");
    if (!rc)
        h->held = false;
    return rc;
}
