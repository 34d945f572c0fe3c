/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Has somebody changed a domain since it was looked at in CHECK: its devices, its name, the vCPUs
 * it shall have online? xenstore tells, where every tool writes such a change: watches cost nothing
 * until there is one.
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
    char *devices;        /* as they were at first, malloc()ed */
    struct xf_follow now; /* name and vCPUs as they were at the last look */
};

/* Begin to watch, before the configuration is read. After -1 nothing needs to be ended. */
int xf_changes_begin(struct xf_changes *c, uint32_t domid, struct xf_err *err);
void xf_changes_end(struct xf_changes *c);

/* Has anything been written? Without a word to xenstore. */
bool xf_changes_due(struct xf_changes *c);
/*
 * Look what it was. -1: something that a move cannot take along (EBUSY: a device was attached,
 * detached or changed), and the error says what. *changed: c->now is another than before.
 */
int xf_changes_look(struct xf_changes *c, bool *changed, struct xf_err *err);

#endif
