/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Domains held by a move: see held.h. Living moves report it themselves (status.h), dead ones left
 * a record (record.h), and a copy is known by its name. Xen is asked where possible, because the
 * files of the run directory identify domains by number.
 */
#include "libxl-ext/moves/held.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libxl.h>
#include <libxl_utils.h>

#include "libxl-ext/xen/domain_here.h"
#include "libxl-ext/moves/record.h"
#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/moves/status.h"
#include "libxl-ext/xen/toollog.h"
#include "libxl-ext/xen/xen_open.h"

#define INCOMING "--incoming"

/* The domain that is meant. */
struct sought {
    const char *given;
    xc_interface *xch; /* NULL: Xen cannot be asked, or has no such domain */
    uint32_t domid;    /* XF_NO_DOMID: not known */
    char *name;        /* malloc()ed; NULL: not known */
};

static void look_up(struct sought *s, libxl_ctx *ctx, xc_interface *xch)
{
    if (libxl_domain_qualifier_to_domid(ctx, s->given, &s->domid)) {
        s->domid = XF_NO_DOMID;
        return;
    }
    s->xch = xch;
    s->name = libxl_domid_to_name(ctx, s->domid);
}

static bool is_incoming(const char *name)
{
    size_t len = name ? strlen(name) : 0, tail = sizeof(INCOMING) - 1;

    return len > tail && !strcmp(name + len - tail, INCOMING);
}

/* Is it the domain of a status or record with this number and name? */
static bool is_meant(const struct sought *s, const char *name, uint32_t domid)
{
    return s->domid != XF_NO_DOMID ? domid == s->domid : xf_status_is(name, domid, s->given);
}

static void ask_moves(const struct sought *s, struct xf_hold *out)
{
    struct xf_status_list all;

    if (!xf_statuses(&all, NULL)) {
        for (unsigned i = 0; i < all.nr; i++) {
            const struct xf_status *x = &all.list[i];

            if (x->domid == XF_NO_DOMID || !is_meant(s, x->domain, x->domid) ||
                (!x->source && x->phase >= XF_PHASE_PULL))
                continue;
            out->how = x->source ? XF_HELD_GOING : XF_HELD_INCOMING;
            out->phase = x->phase;
            memcpy(out->host, x->host, sizeof(out->host));
        }
    }
    xf_statuses_free(&all);
}

/* The record of a domain that runs again is void, unless the guest has run twice. */
static bool holds(const struct sought *s, const struct xf_record *r)
{
    char now[XF_BOOT_ID];

    xf_boot_id(now);
    if (strcmp(now, r->boot_id) != 0)
        return false;
    if (!s->xch)
        return true;
    switch (xf_domain_here(s->xch, s->domid, r->uuid)) {
    case XF_DOM_GONE:
    case XF_DOM_DYING:
        return false;
    case XF_DOM_RUNS:
        return r->state == XF_RECORD_TWICE;
    case XF_DOM_OTHER: /* still of this number */
    case XF_DOM_UNKNOWN:
    case XF_DOM_SUSPENDED:
        break;
    }
    return true;
}

static void read_record(const struct sought *s, uint32_t domid, struct xf_record *r,
                        struct xf_hold *out)
{
    int fd;

    if (xf_record_read(xf_run_dir(), domid, r, &fd, NULL))
        return;
    close(fd);
    if (is_meant(s, r->name, domid) && holds(s, r)) {
        out->how = XF_HELD_LEFT;
        memcpy(out->host, r->host, sizeof(out->host));
    }
    explicit_bzero(r, sizeof(*r));
}

static void ask_records(const struct sought *s, struct xf_hold *out)
{
    struct xf_record *r = calloc(1, sizeof(*r));
    DIR *dir = r && s->domid == XF_NO_DOMID ? opendir(xf_run_dir()) : NULL;
    const struct dirent *e;

    if (r && s->domid != XF_NO_DOMID)
        read_record(s, s->domid, r, out);
    while (dir && (e = readdir(dir)) && out->how == XF_HELD_NOT) {
        unsigned domid;
        int end = 0;

        if (sscanf(e->d_name, "%5u.move%n", &domid, &end) == 1 && end && !e->d_name[end])
            read_record(s, domid, r, out);
    }
    if (dir)
        closedir(dir);
    free(r);
}

static void ask_lock(const struct sought *s, struct xf_hold *out)
{
    uint32_t domid = s->domid;
    int end = 0;

    /* Without Xen's answer a number is still one. */
    if (domid == XF_NO_DOMID && (sscanf(s->given, "%5u%n", &domid, &end) != 1 || s->given[end]))
        return;
    if (xf_record_is_locked(xf_run_dir(), domid))
        out->how = XF_HELD_LOCKED;
}

void xf_held(const char *domain, struct xf_hold *out)
{
    struct sought s = {.given = domain, .domid = XF_NO_DOMID};
    struct xf_toollog log;
    libxl_ctx *ctx = NULL;
    xc_interface *xch;

    *out = (struct xf_hold){.how = XF_HELD_NOT};
    xf_toollog_init(&log);
    xf_xen_open(&xch, &log, NULL);
    if (!libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, &log.vtable))
        look_up(&s, ctx, xch);
    else
        ctx = NULL;
    if (is_incoming(domain) || is_incoming(s.name))
        out->how = XF_HELD_INCOMING;
    else
        ask_moves(&s, out);
    if (out->how == XF_HELD_NOT)
        ask_records(&s, out);
    if (out->how == XF_HELD_NOT)
        ask_lock(&s, out);
    free(s.name);
    if (ctx)
        libxl_ctx_free(ctx);
    if (xch)
        xc_interface_close(xch);
}
