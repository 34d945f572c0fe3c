/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PV network interfaces in xenstore: see vif.h. */
#include "libxl-ext/xen/vif.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *value(struct xs_handle *xs, const char *dir, const char *node)
{
    char path[256];
    unsigned len;

    snprintf(path, sizeof(path), "%s/%s", dir, node);
    return xs_read(xs, XBT_NULL, path, &len);
}

unsigned xf_vif_list(struct xs_handle *xs, uint32_t domid, struct xf_vif *v, bool *all)
{
    char dir[64], node[96], *backend, *name, **ids;
    unsigned n = 0, found = 0;

    snprintf(dir, sizeof(dir), "/libxl/%u/device/vif", domid);
    ids = xs_directory(xs, XBT_NULL, dir, &found);
    *all = ids ? found <= XF_VIFS_MAX : errno == ENOENT;
    for (unsigned i = 0; ids && i < found && n < XF_VIFS_MAX; i++) {
        snprintf(node, sizeof(node), "%.20s/backend", ids[i]);
        backend = value(xs, dir, node);
        if (!backend || strlen(backend) >= sizeof(v[n].backend)) {
            *all = *all && !backend && errno == ENOENT; /* detached just now */
            free(backend);
            continue;
        }
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

enum xf_vif_set xf_vif_set_state(struct xs_handle *xs, const struct xf_vif *v, int from, int to,
                                 int *found)
{
    char path[160], *state, text[12];
    xs_transaction_t t;
    unsigned len;
    bool ok;

    *found = 0;
    snprintf(path, sizeof(path), "%s/state", v->backend);
    t = xs_transaction_start(xs);
    if (t == XBT_NULL)
        return XF_VIF_BUSY;
    state = xs_read(xs, t, path, &len);
    if (state)
        *found = atoi(state);
    free(state);
    snprintf(text, sizeof(text), "%d", to);
    ok = *found == from && xs_write(xs, t, path, text, (unsigned)strlen(text));
    if (!ok) {
        xs_transaction_end(xs, t, true);
        return *found == from ? XF_VIF_BUSY : XF_VIF_OTHER;
    }
    return xs_transaction_end(xs, t, false) ? XF_VIF_SET : XF_VIF_BUSY;
}
