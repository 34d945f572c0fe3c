/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The copy that a move builds here: which domain it is. A name alone is not enough: NAME--incoming
 * may be another move's (ours or stock), or what one left behind, and a uuid alone is what a clone
 * may have, too. So the copy is the domain of this number, uuid and name, and its number is what
 * our own xl made it by (xf_incoming_find() says how that is known). Nothing else is taken over,
 * filled or destroyed.
 *
 * The struct lies in memory that sink and guard share: the sink writes it, the guard reads it once
 * the sink is dead. libxl is called in the caller's thread.
 */
#ifndef XF_INCOMING_H
#define XF_INCOMING_H

#include <libxl.h>

#include "libxl-ext/xen/toollog.h"
#include "transport/err.h"

struct xf_incoming {
    char domain[128]; /* its name once it runs; empty: there is no move yet */
    char name[160];   /* until then: NAME--incoming, as xl has it */
    libxl_uuid uuid;
    volatile uint32_t domid; /* 0: not known (yet) */
};

/* The copy of the domain of this name and uuid. EPROTO: the uuid is invalid. */
int xf_incoming_init(struct xf_incoming *in, const char *domain, const char *uuid,
                     struct xf_err *err);

/* Would xl make that domain, and no other, from this configuration (JSON, with its NUL)? EPROTO if
 * it has another name or uuid. *type: of what kind it would be. */
int xf_incoming_fits(const struct xf_incoming *in, libxl_ctx *ctx, const char *config,
                     libxl_domain_type *type, struct xf_err *err);

/* Before xl is started: EEXIST if there is a domain of the copy's name. */
int xf_incoming_absent(const struct xf_incoming *in, libxl_ctx *ctx, struct xf_err *err);

/*
 * Which number has it? To be called once our xl has begun to restore: xl makes a domain before it
 * reads the first byte of what it is to restore, and no second one of the same name can be made
 * (libxl__domain_make, tools/libs/light/libxl_create.c), so by then the domain of that name is
 * ours. EEXIST: it has another uuid, and is not; ESRCH: there is none.
 */
int xf_incoming_find(struct xf_incoming *in, libxl_ctx *ctx, struct xf_err *err);

/* Is it still there, under its number? One look at Xen and one at xenstore. ESRCH: no. */
int xf_incoming_check(const struct xf_incoming *in, libxl_ctx *ctx, struct xf_err *err);

/*
 * Destroy it, if it is there. -1: it could not be destroyed, or its number is not known and there
 * is a domain of its name: that one is left alone, and err says what can be done.
 */
int xf_incoming_destroy(const struct xf_incoming *in, libxl_ctx *ctx, struct xf_toollog *log,
                        struct xf_err *err);

#endif
