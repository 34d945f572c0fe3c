/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHECK at the source: the disks that move with the guest. See check_disks.h. */
#include "libxl-ext/source/check_disks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <libxl_utils.h>

#include "libxl-ext/xen/guest_kind.h"
#include "libxl-ext/xen/pv_drivers.h"
#include "transport/version.h"

#define REFUSED "disk"

/* What was asked for this disk; NULL: nothing. */
static const struct xf_disk_wish *wish_for(const struct xf_move_opts *o, const char *vdev)
{
    for (unsigned i = 0; i < o->nr_disks; i++)
        if (!strcmp(o->disks[i].vdev, vdev))
            return &o->disks[i];
    return NULL;
}

/* Why a disk cannot move, by its configuration; NULL: nothing is against it. */
static const char *unfit(const libxl_device_disk *d)
{
    if (d->backend_domid || d->backend_domname)
        return "is served by another domain; shut the guest down and copy it";
    if (d->script && d->script[0])
        return "has a script= of its own, which decides where its data is; copy it by the means of "
               "that storage";
    if (d->format != LIBXL_DISK_FORMAT_RAW)
        return "is not raw, and two QEMUs must not use its tables; convert it (`qemu-img convert "
               "-O raw`)";
    if (strlen(d->vdev) >= XF_VDEV)
        return "has a name that is too long";
    return NULL;
}

/* One that stays where it is even with all_disks: both hosts must have it. */
static const char *stays(const libxl_device_disk *d)
{
    if (d->is_cdrom || d->removable || d->format == LIBXL_DISK_FORMAT_EMPTY)
        return "is a drive for removable media; eject it";
    if (!d->readwrite)
        return "is read-only; copy its image to the destination and leave it out";
    return NULL;
}

/* libxl reads a path that it has written with a format before it ("aio:/srv/xen/web1.img"). */
static const char *path_of(const libxl_device_disk *d)
{
    const char *path = d->pdev_path ? d->pdev_path : "", *colon = strchr(path, ':');

    return path[0] != '/' && colon ? colon + 1 : path;
}

/* The image as it is opened here, and how much of it is in use. */
static int look_at_path(const char *path, struct xf_disk_report *r, struct xf_disk_plan *plan,
                        struct xf_err *err)
{
    struct stat st;

    if (strlen(path) >= sizeof(r->source) || path[0] != '/')
        return xf_fail(err, EINVAL, "its image \"%.100s\" has no path that can be used", path);
    if (stat(path, &st))
        return xf_fail(err, errno, "its image %.200s cannot be looked at: %s", path,
                       strerror(errno));
    snprintf(r->source, sizeof(r->source), "%s", path);
    snprintf(plan->name, sizeof(plan->name), "%.*s", (int)sizeof(plan->name) - 1,
             strrchr(path, '/') + 1);
    plan->used = S_ISREG(st.st_mode) ? (uint64_t)st.st_blocks * 512 : plan->bytes;
    plan->sparse = plan->used < plan->bytes;
    return 0;
}

static int look_at_image(struct xf_move *m, struct xf_disk_report *r, struct xf_disk_plan *plan,
                         struct xf_err *err)
{
    libxl_device_disk now;
    int rc;

    libxl_device_disk_init(&now);
    if (libxl_vdev_to_device_disk(m->ctx, m->domid, plan->vdev, &now))
        rc = xf_fail(err, EIO, "it is not attached");
    else
        rc = look_at_path(path_of(&now), r, plan, err);
    libxl_device_disk_dispose(&now);
    return rc;
}

/* The disk in the guest's QEMU, without what an earlier move has left of itself. */
static int look_in_qemu(struct xf_move *m, const char *vdev, struct xf_mirror_disk *out,
                        struct xf_err *err)
{
    struct xf_mirror_at at = xf_disks_moving_at(m->domid);

    if (!m->o->check_only && xf_mirror_clear(&at, vdev, NULL, err))
        return err->num == ENOENT || err->num == ECONNREFUSED ? -1
                                                              : xf_wrap(err, "a leftover copy");
    return xf_mirror_find(&at, vdev, out, err);
}

static void refuse(struct xf_findings *found, const char *vdev, const char *why)
{
    xf_find(found, XF_REFUSAL, REFUSED, "disk %s %s", vdev, why);
}

/* Everything is known of it but where it goes: it moves. */
static void take(struct xf_move *m, int index, const struct xf_disk_wish *wish,
                 struct xf_findings *found)
{
    struct xf_hello *h = &m->check.hello;
    const char *vdev = m->check.config.disks[index].vdev;
    struct xf_disk_moving *x = &m->disks.list[m->disks.nr];
    struct xf_disk_report *r = &m->report->disks[m->disks.nr];
    struct xf_disk_plan *plan = &h->disks[h->nr_disks];
    struct xf_err why = {0};

    memset(x, 0, sizeof(*x));
    memset(plan, 0, sizeof(*plan));
    *r = (struct xf_disk_report){.drained_s = -1, .forecast_s = -1, .kept = true};
    snprintf(plan->vdev, sizeof(plan->vdev), "%s", vdev);
    snprintf(plan->want, sizeof(plan->want), "%s", wish ? wish->target : "");
    if (look_in_qemu(m, vdev, &x->found, &why)) {
        if (why.num == ENOENT || why.num == ECONNREFUSED)
            refuse(found, vdev,
                   "is served by the kernel (phy), which cannot copy it; start the guest with "
                   "backendtype=qdisk for it");
        else
            xf_find(found, XF_REFUSAL, REFUSED, "disk %s cannot be copied: %.300s", vdev, why.text);
        return;
    }
    plan->bytes = x->found.size;
    if (!x->found.raw || x->found.read_only || !plan->bytes || plan->bytes % 512) {
        refuse(found, vdev, "is not a raw disk that can be written, of a multiple of 512 bytes");
        return;
    }
    if (look_at_image(m, r, plan, &why)) {
        xf_find(found, XF_REFUSAL, REFUSED, "disk %s: %.300s", vdev, why.text);
        return;
    }
    snprintf(r->vdev, sizeof(r->vdev), "%s", plan->vdev);
    r->bytes = plan->bytes;
    r->used = plan->used;
    x->index = index;
    x->report = r;
    xf_qdisks_leave_out(&m->check.disks, r->source);
    m->report->nr_disks = ++m->disks.nr;
    h->nr_disks++;
}

/* The destination need not have it. */
static void need_not(struct xf_hello *h, const char *vdev)
{
    char of[64];

    snprintf(of, sizeof(of), "disk %.40s", vdev);
    for (unsigned i = 0; i < h->nr_needs; i++)
        if (h->needs[i].kind == XF_NEED_DISK && !strcmp(h->needs[i].of, of))
            h->needs[i--] = h->needs[--h->nr_needs];
}

static void look_at_disk(struct xf_move *m, int index, struct xf_findings *found)
{
    const libxl_device_disk *d = &m->check.config.disks[index];
    const struct xf_disk_wish *wish = d->vdev ? wish_for(m->o, d->vdev) : NULL;
    const char *why;

    if (!d->vdev || (!wish && !m->o->all_disks))
        return;
    why = stays(d);
    if (why && !wish)
        return;
    need_not(&m->check.hello, d->vdev);
    if (!why)
        why = unfit(d);
    if (why)
        refuse(found, d->vdev, why);
    else if (m->disks.nr == XF_MOVE_DISKS_MAX)
        xf_find(found, XF_REFUSAL, REFUSED, "at most %u disks can move with a guest",
                XF_MOVE_DISKS_MAX);
    else
        take(m, index, wish, found);
}

/* An emulated disk is another way to the same image, which the copy would not see. */
static int check_drivers(struct xf_move *m, struct xf_findings *found, struct xf_err *err)
{
    bool has = true;

    if (m->check.kind && m->check.kind->device_model &&
        xf_has_pv_drivers(m->xch, m->domid, &has, err))
        return -1;
    if (!has)
        xf_find(found, XF_REFUSAL, REFUSED,
                "the guest has no PV drivers, and writes to its emulated disks cannot be copied; "
                "shut it down and copy its images");
    return 0;
}

static void find_unknown(struct xf_move *m, struct xf_findings *found)
{
    for (unsigned i = 0; i < m->o->nr_disks; i++) {
        bool known = false;

        for (int k = 0; k < m->check.config.num_disks; k++)
            known |= m->check.config.disks[k].vdev &&
                     !strcmp(m->check.config.disks[k].vdev, m->o->disks[i].vdev);
        if (!known)
            xf_find(found, XF_REFUSAL, REFUSED,
                    "the guest has no disk %s; `xl block-list` shows those that it has",
                    m->o->disks[i].vdev);
    }
}

/* Do the disks that move include all that the guest can write to? */
static bool all_move(const struct xf_move *m)
{
    for (int i = 0; i < m->check.config.num_disks; i++) {
        const libxl_device_disk *d = &m->check.config.disks[i];
        bool moves = !d->readwrite || d->is_cdrom || d->format == LIBXL_DISK_FORMAT_EMPTY;

        for (unsigned k = 0; !moves && k < m->disks.nr; k++)
            moves = m->disks.list[k].index == i;
        if (!moves)
            return false;
    }
    return m->disks.nr > 0;
}

int xf_move_disks_look(struct xf_move *m, struct xf_findings *found, struct xf_err *err)
{
    m->disks.nr = m->report->nr_disks = m->check.hello.nr_disks = 0;
    m->check.hello.verify_disks = !m->o->no_verify_disks;
    if (!m->o->all_disks && !m->o->nr_disks)
        return 0;
    find_unknown(m, found);
    for (int i = 0; i < m->check.config.num_disks; i++)
        look_at_disk(m, i, found);
    m->report->all_disks = all_move(m);
    if (!m->disks.nr && !xf_first_refusal(found))
        xf_find(found, XF_REFUSAL, REFUSED,
                "the guest has no disk that could move; leave --with-disks out");
    return m->disks.nr ? check_drivers(m, found, err) : 0;
}

static void say(const struct xf_disk_report *r, struct xf_findings *found)
{
    xf_find(found, XF_INFO, REFUSED,
            "disk %s (%llu MiB, %llu of them in use) goes to %.150s, where %llu MiB are free",
            r->vdev, (unsigned long long)(r->bytes >> 20), (unsigned long long)(r->used >> 20),
            r->target, (unsigned long long)(r->free >> 20));
}

int xf_move_disks_place(struct xf_move *m, struct xf_findings *found, struct xf_err *err)
{
    const struct xf_reply *reply = &m->check.reply;

    if (!m->disks.nr)
        return 0;
    if (!reply->disks) {
        xf_find(found, XF_REFUSAL, "receiver",
                "the destination's Xenferry cannot receive disks; install this version (%s) there",
                xf_version());
        return 0;
    }
    if (xf_first_refusal(found))
        return 0;
    if (reply->nr_there != m->disks.nr)
        return xf_fail_peer(err, EPROTO, "the destination has places for %u disks instead of %u",
                            reply->nr_there, m->disks.nr);
    for (unsigned i = 0; i < m->disks.nr; i++) {
        libxl_device_disk *d = &m->check.config.disks[m->disks.list[i].index];
        struct xf_disk_report *r = &m->report->disks[i];

        snprintf(r->target, sizeof(r->target), "%s", reply->there[i].path);
        r->free = reply->there[i].free;
        free(d->pdev_path);
        d->pdev_path = strdup(r->target);
        d->backend = LIBXL_DISK_BACKEND_QDISK; /* the kernel's could not move again */
        say(r, found);
    }
    free(m->check.config_json);
    m->check.config_json = libxl_domain_config_to_json(m->ctx, &m->check.config);
    if (!m->check.config_json)
        return xf_fail(err, ENOMEM, "cannot write the domain's configuration as JSON");
    return 0;
}

void xf_move_disks_foresee(struct xf_move *m)
{
    double rate = m->report->forecast.link_bytes_per_s;

    if (m->o->disk_bandwidth && (rate <= 0 || rate > (double)m->o->disk_bandwidth))
        rate = (double)m->o->disk_bandwidth;
    for (unsigned i = 0; rate > 0 && i < m->disks.nr; i++)
        m->report->disks[i].forecast_s = (double)m->report->disks[i].used / rate;
}
