/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The copy that a move builds here: see incoming.h. */
#include "libxl-ext/sink/incoming.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxl_utils.h>

int xf_incoming_init(struct xf_incoming *in, const char *domain, const char *uuid,
                     struct xf_err *err)
{
    memset(in, 0, sizeof(*in));
    if (libxl_uuid_from_string(&in->uuid, uuid))
        return xf_fail(err, EPROTO, "the source sent an invalid uuid");
    snprintf(in->name, sizeof(in->name), "%s--incoming", domain);
    snprintf(in->domain, sizeof(in->domain), "%s", domain);
    return 0;
}

int xf_incoming_fits(const struct xf_incoming *in, libxl_ctx *ctx, const char *config,
                     libxl_domain_type *type, struct xf_err *err)
{
    libxl_domain_config c;
    int rc = 0;

    libxl_domain_config_init(&c);
    /* By libxl, as in xl: with a duplicate member another parser may choose the other one. */
    if (libxl_domain_config_from_json(ctx, &c, config))
        rc = xf_fail(err, EPROTO, "libxl cannot read the configuration that the source sent");
    else if (!c.c_info.name || strcmp(c.c_info.name, in->domain))
        rc = xf_fail(err, EPROTO,
                     "the source's configuration is not that of domain \"%s\", which it announced",
                     in->domain);
    else if (libxl_uuid_compare(&c.c_info.uuid, &in->uuid))
        rc = xf_fail(err, EPROTO,
                     "the source's configuration has a uuid other than the one it announced");
    *type = c.c_info.type;
    libxl_domain_config_dispose(&c);
    return rc;
}

int xf_incoming_absent(const struct xf_incoming *in, libxl_ctx *ctx, struct xf_err *err)
{
    uint32_t domid;

    if (libxl_name_to_domid(ctx, in->name, &domid))
        return 0;
    return xf_fail(err, EEXIST,
                   "a domain named \"%s\" (%u) has appeared there since the move was checked; "
                   "destroy it unless another move is building it",
                   in->name, domid);
}

/* Does the domain with this number have our uuid? */
static bool has_uuid(const struct xf_incoming *in, libxl_ctx *ctx, uint32_t domid)
{
    libxl_dominfo info;
    bool has;

    libxl_dominfo_init(&info);
    has = !libxl_domain_info(ctx, &info, domid) && info.domid == domid &&
          !libxl_uuid_compare(&info.uuid, &in->uuid);
    libxl_dominfo_dispose(&info);
    return has;
}

int xf_incoming_find(struct xf_incoming *in, libxl_ctx *ctx, struct xf_err *err)
{
    uint32_t domid;

    if (libxl_name_to_domid(ctx, in->name, &domid))
        return xf_fail(err, ESRCH, "xl built no domain named \"%s\"", in->name);
    if (!has_uuid(in, ctx, domid))
        return xf_fail(err, EEXIST,
                       "domain %u, named \"%s\", is not the one that xl was given to build", domid,
                       in->name);
    in->domid = domid;
    return 0;
}

int xf_incoming_check(const struct xf_incoming *in, libxl_ctx *ctx, struct xf_err *err)
{
    char *name = in->domid ? libxl_domid_to_name(ctx, in->domid) : NULL;
    bool is = name && !strcmp(name, in->name) && has_uuid(in, ctx, in->domid);

    free(name);
    return is ? 0 : xf_fail(err, ESRCH, "the new domain %u (\"%s\") is gone", in->domid, in->name);
}

int xf_incoming_destroy(const struct xf_incoming *in, libxl_ctx *ctx, struct xf_toollog *log,
                        struct xf_err *err)
{
    uint32_t domid;
    char why[300];

    if (!in->domid && !libxl_name_to_domid(ctx, in->name, &domid))
        return xf_fail(
            err, EEXIST,
            "a domain named \"%s\" (%u) exists there that this move cannot identify as its own, so "
            "it was left alone; destroy it unless another move is building it",
            in->name, domid);
    if (!in->domid || xf_incoming_check(in, ctx, NULL))
        return 0;
    if (libxl_domain_destroy(ctx, in->domid, NULL))
        return xf_fail(err, EIO, "cannot destroy domain \"%s\" (%u): %s", in->name, in->domid,
                       xf_toollog_last(log, why, sizeof(why)));
    return 0;
}
