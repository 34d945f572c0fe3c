/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Identifies the copy that a move builds here. A name alone is not enough: NAME--incoming may
 * belong to another move (ours or stock), or be left over from one; nor is a uuid, which a clone
 * may share. So the copy is the domain with this number, uuid and name, where the number is that of
 * the domain our own xl made (see xf_incoming_find()). No other domain is taken over, filled or
 * destroyed.
 *
 * The struct lies in memory shared by sink and guard: the sink writes it, the guard reads it once
 * the sink is dead. libxl is called in the caller's thread.
 */
#ifndef XF_INCOMING_H
#define XF_INCOMING_H

#include <libxl.h>

#include "libxl-ext/xen/toollog.h"
#include "transport/err.h"

struct xf_incoming {
    char domain[128]; /* its name once it runs; empty: no move yet */
    char name[160];   /* until then: NAME--incoming, as in xl */
    libxl_uuid uuid;
    volatile uint32_t domid; /* 0: not known (yet) */
};

/* The copy of the domain of this name and uuid. EPROTO: the uuid is invalid. */
int xf_incoming_init(struct xf_incoming *in, const char *domain, const char *uuid,
                     struct xf_err *err);

/* Would xl make that domain, and no other, from this configuration (JSON, with its NUL)? EPROTO if
 * it has another name or uuid. *type: the type of the domain. */
int xf_incoming_fits(const struct xf_incoming *in, libxl_ctx *ctx, const char *config,
                     libxl_domain_type *type, struct xf_err *err);

/* Before xl is started: EEXIST if a domain with the copy's name exists. */
int xf_incoming_absent(const struct xf_incoming *in, libxl_ctx *ctx, struct xf_err *err);

/*
 * Find the copy's number. To be called once our xl has begun to restore: xl makes the domain before
 * it reads the first byte of the stream, and no second domain of the same name can be made
 * (libxl__domain_make, tools/libs/light/libxl_create.c), so by then the domain of that name is
 * ours. EEXIST: it has another uuid and is not ours; ESRCH: no such domain.
 */
int xf_incoming_find(struct xf_incoming *in, libxl_ctx *ctx, struct xf_err *err);

/* Does the copy still exist under its number? Asks Xen once and xenstore once. ESRCH: no. */
int xf_incoming_check(const struct xf_incoming *in, libxl_ctx *ctx, struct xf_err *err);

/*
 * Destroy the copy, if it exists. -1: it could not be destroyed, or its number is unknown and a
 * domain with its name exists: that domain is left alone, and err gives the remedy.
 */
int xf_incoming_destroy(const struct xf_incoming *in, libxl_ctx *ctx, struct xf_toollog *log,
                        struct xf_err *err);

#endif
