/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xf_disk_move(): a disk of a running guest goes to another image of this host. QEMU copies it, the
 * copy is compared, the guest goes on with it; then the records say so, and only then the old image
 * is renamed, so that no later `xl create` boots from what the guest has left.
 *
 * Killed before the guest has changed over, it leaves a job, which the next call removes, and a
 * file. Killed after that, it leaves records that are behind: the next call with the same target
 * finds the guest there and brings them up to date.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <libxl.h>
#include <libxl_utils.h>

#include "disks/mirror.h"
#include "disks/verify.h"
#include "libxl-ext/disks/disk_records.h"
#include "libxl-ext/disks/disk_target.h"
#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/libxl_ext.h"
#include "libxl-ext/moves/record.h"
#include "libxl-ext/xen/toollog.h"
#include "libxl-ext/xen/xen_open.h"
#include "transport/clock.h"

#define MONITOR_MS 60000
#define LOOK_MS 500
#define TICK_MS 100

struct job {
    const struct xf_disk_move_opts *o;
    struct xf_disk_moved *moved;
    struct xf_toollog log;
    libxl_ctx *ctx;
    uint32_t domid;
    int lock;
    struct xf_mirror_at at;
    struct xf_disk_record record;
    struct xf_mirror_disk disk; /* as it is before */
    struct xf_disk_target target;
    struct xf_mirror mirror;
    double looked; /* when, and how far it was: for the rate */
    uint64_t was;
};

static int check_cancel(void *priv, struct xf_err *err)
{
    const struct job *j = priv;

    return j->o->cancel && *j->o->cancel ? xf_fail(err, ECANCELED, "cancelled") : 0;
}

static struct xf_tick tick_of(struct job *j)
{
    return (struct xf_tick){.call = check_cancel, .priv = j};
}

/* --- what is refused --- */

static int check_disk(const libxl_device_disk *d, const char *vdev, struct xf_err *err)
{
    if (d->is_cdrom)
        return xf_fail(err, EOPNOTSUPP, "%s is a CD drive; use `xl cd-insert`", vdev);
    if (d->backend_domid)
        return xf_fail(err, EOPNOTSUPP,
                       "%s is served by domain %u, whose QEMU cannot be reached from here", vdev,
                       d->backend_domid);
    if (d->script && d->script[0])
        return xf_fail(err, EOPNOTSUPP,
                       "%s is attached by a script (script=%.100s) that alone knows where it is; "
                       "start the guest without it",
                       vdev, d->script);
    if (d->backend == LIBXL_DISK_BACKEND_PHY)
        return xf_fail(err, EOPNOTSUPP,
                       "%s is served by the kernel (phy), which cannot copy it: within a volume "
                       "group use `pvmove -n LV`, else start the guest with backendtype=qdisk",
                       vdev);
    if (d->backend != LIBXL_DISK_BACKEND_QDISK)
        return xf_fail(err, EOPNOTSUPP, "%s is not served by QEMU (backendtype=qdisk)", vdev);
    if (d->format != LIBXL_DISK_FORMAT_RAW)
        return xf_fail(err, EOPNOTSUPP,
                       "the image of %s is not raw; convert it when the guest is off (qemu-img "
                       "convert -O raw)",
                       vdev);
    if (!d->readwrite)
        return xf_fail(err, EOPNOTSUPP,
                       "%s is read-only: copy its image, then use `xl block-detach` and `xl "
                       "block-attach`",
                       vdev);
    return 0;
}

static int check_guest(struct job *j, struct xf_err *err)
{
    libxl_dominfo info;
    int rc = 0;

    libxl_dominfo_init(&info);
    if (libxl_domain_info(j->ctx, &info, j->domid))
        rc = xf_fail(err, ESRCH, "domain %u is gone", j->domid);
    else if (info.shutdown || info.dying)
        rc = xf_fail(
            err, EINVAL,
            "it does not run: if a move has left it so, `xl migrate-recover` finishes that");
    else if (info.domain_type == LIBXL_DOMAIN_TYPE_HVM)
        rc = xf_fail(err, EOPNOTSUPP,
                     "it is an HVM guest, whose emulated disk would keep the old image");
    libxl_dominfo_dispose(&info);
    return rc;
}

static int look_up(struct job *j, struct xf_err *err)
{
    libxl_device_disk disk;
    int rc;

    libxl_device_disk_init(&disk);
    if (libxl_vdev_to_device_disk(j->ctx, j->domid, j->o->vdev, &disk))
        rc = xf_fail(err, ENOENT, "the guest has no disk %.40s", j->o->vdev);
    else
        rc = check_disk(&disk, j->o->vdev, err);
    libxl_device_disk_dispose(&disk);
    return rc;
}

static int find_guest(struct job *j, struct xf_err *err)
{
    xf_toollog_init(&j->log);
    if (libxl_ctx_alloc(&j->ctx, LIBXL_VERSION, 0, &j->log.vtable))
        return xf_fail(err, EIO, "cannot talk to Xen; is this a dom0, and are you root?");
    if (xf_xen_check(&j->log, err))
        return -1;
    if (libxl_domain_qualifier_to_domid(j->ctx, j->o->domain, &j->domid) || !j->domid)
        return xf_fail(err, ESRCH, "no guest \"%.100s\" here", j->o->domain);
    j->at.domid = j->domid;
    xf_qmp_path(j->domid, j->at.monitor);
    if (xf_record_lock(xf_run_dir(), j->domid, &j->lock, err))
        return xf_wrap(err, "the guest is being moved");
    return check_guest(j, err) || look_up(j, err) ||
                   xf_disk_record_read(&j->record, j->domid, j->o->vdev, err)
               ? -1
               : 0;
}

/* --- the copy --- */

static void show(struct job *j, bool verifies, uint64_t done, uint64_t total)
{
    double now = xf_now(), s = now - j->looked;
    const struct xf_disk_progress p = {
        .verifies = verifies,
        .done = done,
        .total = total,
        .rate = !verifies && s > 0 && done > j->was ? (double)(done - j->was) / s : 0};

    j->looked = now;
    j->was = done;
    if (j->o->progress)
        j->o->progress(j->o->priv, &p);
}

static int rest(struct job *j, struct xf_err *err)
{
    const struct timespec piece = {.tv_nsec = TICK_MS * 1000000};

    for (int ms = 0; ms < LOOK_MS; ms += TICK_MS) {
        if (check_cancel(j, err))
            return -1;
        nanosleep(&piece, NULL);
    }
    return 0;
}

static int copy(struct job *j, struct xf_err *err)
{
    const struct xf_mirror_target target = {.file = j->target.path, .device = j->target.device};
    struct xf_mirror_look now;

    j->looked = xf_now();
    if (xf_mirror_start(&j->mirror, &j->at, &j->disk, &target, j->o->bandwidth, err))
        return -1;
    for (;;) {
        if (xf_mirror_look(&j->mirror, &now, err))
            return -1;
        show(j, false, now.offset, now.len);
        if (now.state == XF_MIRROR_READY)
            return 0;
        if (now.state == XF_MIRROR_FAILED)
            return xf_fail(err, EIO, "copying %s has failed: %s", j->o->vdev, now.why);
        if (rest(j, err))
            return -1;
    }
}

struct verifying {
    struct job *j;
    struct xf_verify *v;
    int64_t next;
};

static int while_verifying(void *priv, struct xf_err *err)
{
    struct verifying *s = priv;

    if (xf_now_ms() >= s->next) {
        show(s->j, true, atomic_load(&s->v->checked), s->j->disk.size);
        s->next = xf_now_ms() + LOOK_MS;
    }
    return check_cancel(s->j, err);
}

/* Both images are read through the page cache, as QEMU writes them. What the guest writes to all
 * the time cannot be compared: it never stops. */
static int verify(struct job *j, struct xf_err *err)
{
    struct xf_verify_image own = {.fd = -1}, other = {.fd = -1};
    struct xf_verify v = {.image = &own, .local = &other};
    struct verifying s = {.j = j, .v = &v};
    int fd = open(j->record.path, O_RDONLY | O_CLOEXEC), rc;

    if (fd < 0)
        return xf_fail(err, errno, "cannot open %s: %s", j->record.path, strerror(errno));
    rc = xf_verify_open(&own, fd, j->disk.size, false, err) ||
                 xf_verify_open(&other, j->target.fd, j->disk.size, false, err) ||
                 xf_verify_run(&v, (struct xf_tick){.call = while_verifying, .priv = &s}, err)
             ? -1
             : 0;
    j->moved->again = v.again;
    j->moved->unverified = v.nr_hot;
    xf_verify_close(&own);
    xf_verify_close(&other);
    close(fd);
    return rc;
}

/* --- after the guest has changed over --- */

static int drop_old(struct job *j, const char *old, struct xf_err *err)
{
    char stamp[32];
    time_t now = time(NULL);
    struct tm tm;
    struct stat st;

    if (stat(old, &st) || !S_ISREG(st.st_mode))
        return 0; /* a device has no name of its own to change */
    if (j->o->delete_source)
        return unlink(old) ? xf_fail(err, errno, "cannot remove %s: %s", old, strerror(errno)) : 0;
    strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%S", gmtime_r(&now, &tm));
    snprintf(j->moved->kept, sizeof(j->moved->kept), "%s.moved-%s", old, stamp);
    if (!access(j->moved->kept, F_OK) || rename(old, j->moved->kept)) {
        j->moved->kept[0] = 0;
        return xf_fail(err, errno ? errno : EEXIST,
                       "cannot rename %s, which the guest does not use any more", old);
    }
    return 0;
}

/* keep_old: the copy is not known to be durable. */
static int record(struct job *j, const char *path, bool keep_old, struct xf_err *err)
{
    char old[XF_TARGET_PATH];

    snprintf(old, sizeof(old), "%s", j->record.path);
    if (xf_disk_record_write(&j->record, j->ctx, j->domid, j->o->vdev, path, err))
        return -1;
    return keep_old ? 0 : drop_old(j, old, err);
}

/* Does the guest use the target, of which xenstore does not know? A call before was killed. */
static bool is_there(const struct job *j, char path[XF_TARGET_PATH])
{
    char *whole = realpath(j->o->target, NULL);
    bool there = whole && strcmp(whole, j->record.path) != 0 && !strcmp(whole, j->disk.file);

    if (there)
        snprintf(path, XF_TARGET_PATH, "%s", whole);
    free(whole);
    return there;
}

/*
 * It has failed: end the copying. Only if QEMU says that the guest uses the old image may the new
 * one be removed; an answer that did not come in time says nothing.
 */
static enum xf_disk_outcome give_up(struct job *j, struct xf_err *err)
{
    struct xf_mirror_disk now;
    struct xf_err why = {0};

    if (!xf_mirror_cancel(&j->mirror, &why) && !xf_mirror_find(&j->at, j->o->vdev, &now, &why) &&
        !strcmp(now.node, j->disk.node))
        return XF_DISK_STAYED;
    j->target.created = false;
    xf_wrap(err, "%.200s; it is not known which image the guest uses, and both are kept",
            why.num ? why.text : "QEMU has changed over all the same");
    return XF_DISK_HALF;
}

static enum xf_disk_outcome move_it(struct job *j, struct xf_err *err)
{
    bool durable;
    int rc;

    if (xf_disk_target_open(&j->target, j->o->target, j->record.path, j->disk.size, err))
        return XF_DISK_REFUSED;
    snprintf(j->moved->to, sizeof(j->moved->to), "%s", j->target.path);
    rc = copy(j, err);
    if (!rc && !j->o->no_verify)
        rc = verify(j, err);
    /* From here on a cancel comes too late: QEMU may have changed over. */
    j->at.tick = j->mirror.at.tick = (struct xf_tick){0};
    if (!rc)
        rc = xf_mirror_pivot(&j->mirror, err);
    if (rc && !j->mirror.pivoted)
        return give_up(j, err);
    /* Whatever fails now, the guest uses the new image, and everybody should know. */
    durable = !xf_disk_target_keep(&j->target, err);
    if (!record(j, j->target.path, !durable, err) && durable && !rc)
        return XF_DISK_MOVED;
    xf_wrap(err, "the guest uses %.200s now, but", j->target.path);
    return XF_DISK_HALF;
}

static enum xf_disk_outcome run(struct job *j, struct xf_err *err)
{
    char path[XF_TARGET_PATH];

    if (find_guest(j, err))
        return XF_DISK_REFUSED;
    snprintf(j->moved->from, sizeof(j->moved->from), "%s", j->record.path);
    if (xf_mirror_clear(&j->at, j->o->vdev, NULL, err) ||
        xf_mirror_find(&j->at, j->o->vdev, &j->disk, err))
        return XF_DISK_REFUSED;
    j->moved->size = j->disk.size;
    if (!j->disk.raw) {
        xf_fail(err, EOPNOTSUPP, "the image of %s is not raw", j->o->vdev);
        return XF_DISK_REFUSED;
    }
    if (is_there(j, path)) {
        snprintf(j->moved->to, sizeof(j->moved->to), "%s", path);
        j->moved->finished_only = true;
        return record(j, path, false, err) ? XF_DISK_HALF : XF_DISK_MOVED;
    }
    if (strcmp(j->disk.file, j->record.path) != 0) {
        xf_fail(err, EBUSY,
                "the guest uses %.200s, but xenstore says %.200s: finish that first, by `xl "
                "disk-move %.60s %s %.200s`",
                j->disk.file, j->record.path, j->o->domain, j->o->vdev, j->disk.file);
        return XF_DISK_REFUSED;
    }
    return move_it(j, err);
}

enum xf_disk_outcome xf_disk_move(const struct xf_disk_move_opts *o, struct xf_disk_moved *moved,
                                  struct xf_err *err)
{
    struct job *j = calloc(1, sizeof(*j));
    enum xf_disk_outcome outcome;
    double began = xf_now();

    memset(moved, 0, sizeof(*moved));
    if (!j) {
        xf_fail(err, ENOMEM, "out of memory");
        return XF_DISK_REFUSED;
    }
    j->o = o;
    j->moved = moved;
    j->lock = j->target.fd = -1;
    j->at.limit_ms = MONITOR_MS;
    j->at.tick = tick_of(j);
    outcome = run(j, err);
    xf_disk_target_close(&j->target);
    if (j->lock >= 0)
        xf_record_unlock(xf_run_dir(), j->domid, j->lock);
    if (j->ctx)
        libxl_ctx_free(j->ctx);
    free(j);
    moved->seconds = xf_now() - began;
    return outcome;
}
