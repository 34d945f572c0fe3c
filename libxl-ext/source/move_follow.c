/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest changed during its move, at the source: changes that can be followed are sent to the
 * destination before SWITCH (xf_copy.follow); others end the move while the guest runs.
 *
 * libxl has a lock that would keep others out, but it is private, and holding it for hours would
 * hang every `xl network-attach`. So changes are checked a last time right before the suspend, and
 * once more after the last page, which queries xenstore only if something was written since.
 */
#include "libxl-ext/source/move_follow.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libxl-ext/source/move_status.h"
#include "libxl-ext/xen/domain_here.h"
#include "libxl-ext/xen/guest_kind.h"

static void take_name(struct xf_move *m, const char *name)
{
    xf_move_note(m, "the guest was renamed from \"%s\" to \"%s\"%s", m->name, name,
                 strcmp(m->check.hello.domain, m->name)
                     ? "; at the destination it has the name in the configuration that was given"
                     : ", and will have that name at the destination");
    /* With -C it may have another name at the destination, as requested. */
    if (!strcmp(m->check.hello.domain, m->name))
        snprintf(m->check.hello.domain, sizeof(m->check.hello.domain), "%s", name);
    snprintf(m->name, sizeof(m->name), "%s", name);
    snprintf(m->report->domain, sizeof(m->report->domain), "%s", name);
}

/* A vCPU set online is hot-plugged into the device model, whose state then has a device that the
 * one at the destination, started before, does not know. */
static int check_vcpus(const struct xf_move *m, const struct xf_follow *before, struct xf_err *err)
{
    const struct xf_follow *now = &m->check.changes.now;

    if (!m->check.kind->device_model || (now->nr_vcpus == before->nr_vcpus &&
                                         !memcmp(now->vcpus, before->vcpus, sizeof(now->vcpus))))
        return 0;
    return xf_fail(
        err, EBUSY,
        "the guest's vCPUs were set while it was copied, and the device model that waits "
        "at the destination has the former ones; move it again");
}

int xf_move_follow(struct xf_move *m, struct xf_err *err)
{
    struct xf_follow before = m->check.changes.now;
    enum xf_here here;
    bool changed;

    if (!xf_changes_due(&m->check.changes))
        return 0;
    /* When a domain ends its devices disappear first. The check stays due, in case the domain is
     * only paused. */
    here = xf_xen_here(m->xch, m->domid);
    if (here != XF_HERE_RUNS && !(here == XF_HERE_PAUSED && m->check.paused))
        return 0;
    if (xf_changes_look(&m->check.changes, &changed, err))
        return -1;
    if (!changed)
        return 0;
    if (check_vcpus(m, &before, err))
        return -1;
    if (strcmp(m->check.changes.now.name, m->name))
        take_name(m, m->check.changes.now.name);
    m->follow = m->check.changes.now;
    snprintf(m->follow.name, sizeof(m->follow.name), "%s", m->check.hello.domain);
    m->copy.follow = &m->follow;
    m->copy.follow_due = true;
    return 0;
}

int xf_move_unchanged(struct xf_move *m, struct xf_err *err)
{
    bool changed;

    if (!xf_changes_due(&m->check.changes))
        return 0;
    if (xf_changes_look(&m->check.changes, &changed, err))
        return -1;
    if (changed)
        return xf_fail(
            err, EBUSY,
            "the guest's name or its vCPUs were changed while it was being switched; move "
            "it again");
    return 0;
}
