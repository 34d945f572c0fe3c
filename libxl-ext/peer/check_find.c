/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finding the guest of an unfinished move: see check.h. */
#include "libxl-ext/peer/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libxl_utils.h>

#define INCOMING "--incoming"

/* How a domain of this host relates to the guest sought. */
struct likeness {
    bool uuid, name;
    bool incoming; /* the name is that of a copy that has not run */
};

static struct likeness compare(const libxl_dominfo *d, const char *name, const libxl_uuid *uuid,
                               const char *wanted)
{
    size_t len = strlen(wanted);
    struct likeness l = {.uuid = !libxl_uuid_compare(&d->uuid, uuid)};

    if (!name || strncmp(name, wanted, len))
        return l;
    l.incoming = !strcmp(name + len, INCOMING);
    l.name = l.incoming || !name[len];
    return l;
}

/* The finding's code for this domain. A copy is unpaused by a hypercall, and gets its final name
 * only afterwards. */
static const char *find_code(const libxl_dominfo *d, const struct likeness *l, uint32_t copy)
{
    if (d->dying)
        return "dying";
    if (d->domid != copy || !l->uuid || !l->name)
        return "other";
    if (d->paused && l->incoming)
        return "incoming";
    return d->paged_memkb ? "lacking" : "found";
}

static void report(struct xf_findings *f, const libxl_dominfo *d, const char *name,
                   const char *code)
{
    static const struct {
        const char *code, *text;
    } words[] = {{"dying", "is being destroyed"},
                 {"other", "is not the copy that the move made"},
                 {"incoming", "was never started"},
                 {"lacking", "is the guest, and lacks pages"},
                 {"found", "is the guest, with all its pages"}};

    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (!strcmp(code, words[i].code))
            xf_find(f, XF_INFO, code, "domain %u (\"%s\") there %s", d->domid, name ? name : "",
                    words[i].text);
}

int xf_check_find(libxl_ctx *ctx, const struct xf_hello *q, bool same_host, struct xf_findings *f,
                  struct xf_err *err)
{
    libxl_dominfo *list;
    libxl_uuid uuid;
    int n = 0;

    if (libxl_uuid_from_string(&uuid, q->uuid))
        return xf_fail(err, EPROTO, "the source asks for a domain with an invalid uuid");
    list = libxl_list_domain(ctx, &n);
    if (!list)
        return xf_fail(err, EIO, "cannot list the domains here");
    for (int i = 0; i < n; i++) {
        const libxl_dominfo *d = &list[i];
        char *name = libxl_domid_to_name(ctx, d->domid);
        struct likeness l = compare(d, name, &uuid, q->domain);
        bool source = same_host && d->domid != q->copy_domid && d->shutdown &&
                      d->shutdown_reason == LIBXL_SHUTDOWN_REASON_SUSPEND;

        if ((l.uuid || l.name) && !source)
            report(f, d, name, find_code(d, &l, q->copy_domid));
        free(name);
    }
    libxl_dominfo_list_free(list, n);
    if (!f->n)
        xf_find(f, XF_INFO, "nowhere", "it is not there");
    return 0;
}
