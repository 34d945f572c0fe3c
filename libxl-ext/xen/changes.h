/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Has somebody changed a domain since CHECK: its devices, its name, the vCPUs it shall have online?
 * Every tool writes such changes to xenstore, and watches on it cost nothing until one happens.
 */
#ifndef XF_CHANGES_H
#define XF_CHANGES_H

#include <stdbool.h>
#include <stdint.h>

#include <xenstore.h>

#include "transport/wire.h"

struct xf_changes {
    struct xs_handle *xs; /* NULL: nothing is watched */
    uint32_t domid;
    bool due;             /* something was written since the last look */
    char *devices;        /* as at the beginning, malloc()ed */
    struct xf_follow now; /* name and vCPUs as of the last look */
};

/* Begin to watch, before the configuration is read. After -1 there is nothing to end. */
int xf_changes_begin(struct xf_changes *c, uint32_t domid, struct xf_err *err);
void xf_changes_end(struct xf_changes *c);

/* Has anything been written? Sends nothing to xenstore. */
bool xf_changes_due(struct xf_changes *c);
/*
 * Find out what was changed. -1: something a move cannot follow (EBUSY: a device was attached,
 * detached or changed), which the error names. *changed: c->now differs from before.
 */
int xf_changes_look(struct xf_changes *c, bool *changed, struct xf_err *err);

#endif
