/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guests of this host: see guests.h. */
#include "libxl-ext/drain/guests.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxl.h>
#include <libxl_utils.h>

#include "libxl-ext/xen/toollog.h"
#include "libxl-ext/xen/xen_open.h"
#include "transport/text.h"

#define INCOMING "--incoming"

static enum xf_guest_state state_of(const libxl_dominfo *d, const char *name)
{
    size_t len = strlen(name), tail = sizeof(INCOMING) - 1;

    if (d->dying)
        return XF_GUEST_ENDED;
    if (len > tail && !strcmp(name + len - tail, INCOMING))
        return XF_GUEST_INCOMING;
    if (!d->shutdown)
        return XF_GUEST_RUNS;
    return d->shutdown_reason == LIBXL_SHUTDOWN_REASON_SUSPEND ? XF_GUEST_SUSPENDED
                                                               : XF_GUEST_ENDED;
}

static void fill(libxl_ctx *ctx, const libxl_dominfo *d, struct xf_guest *g)
{
    char *name = libxl_domid_to_name(ctx, d->domid);

    *g = (struct xf_guest){
        .domid = d->domid, .memory_kib = d->current_memkb, .state = state_of(d, name ? name : "")};
    snprintf(g->uuid, sizeof(g->uuid), LIBXL_UUID_FMT, LIBXL_UUID_BYTES(d->uuid));
    if (name)
        xf_text_copy(g->name, sizeof(g->name), name, strlen(name));
    else
        snprintf(g->name, sizeof(g->name), "%u", d->domid);
    free(name);
}

int xf_guests(struct xf_guest **list, unsigned *n, struct xf_err *err)
{
    libxl_dominfo *all = NULL;
    struct xf_toollog log;
    libxl_ctx *ctx = NULL;
    int nr = 0, rc = -1;

    *list = NULL;
    *n = 0;
    xf_toollog_init(&log);
    if (libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, &log.vtable))
        return xf_fail(err, EIO, "cannot talk to Xen; is it a dom0, and are you root?");
    if (xf_xen_check(&log, err))
        goto out;
    all = libxl_list_domain(ctx, &nr);
    if (!all) {
        xf_fail(err, EIO, "cannot list the domains here");
        goto out;
    }
    *list = calloc((size_t)nr + 1, sizeof(**list));
    if (!*list) {
        xf_fail(err, ENOMEM, "out of memory");
        goto out;
    }
    for (int i = 0; i < nr; i++)
        if (all[i].domid && !all[i].never_stop && !libxl_is_stubdom(ctx, all[i].domid, NULL))
            fill(ctx, &all[i], &(*list)[(*n)++]);
    rc = 0;
out:
    if (all)
        libxl_dominfo_list_free(all, nr);
    libxl_ctx_free(ctx);
    return rc;
}
