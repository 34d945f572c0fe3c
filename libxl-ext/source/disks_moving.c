/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The copies of the guest's disks that move with it: see disks_moving.h. */
#include "libxl-ext/source/disks_moving.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libxl-ext/host/run_dir.h"
#include "transport/clock.h"

#define MONITOR_MS 5000
#define LOOK_S 0.5
/* A copy that owes more than it once did, for this long, does not converge. */
#define CONVERGE_S 60.0
/* The guest may then write this part of what the copy manages. */
#define THROTTLE_PART 0.8

struct xf_mirror_at xf_disks_moving_at(uint32_t domid)
{
    struct xf_mirror_at at = {.domid = domid, .limit_ms = MONITOR_MS};

    xf_qmp_path(domid, at.monitor);
    return at;
}

/* A copy's part of the limit: those that are READY need little. */
static uint64_t part_of(const struct xf_disks_moving *d)
{
    unsigned copying = 0;

    for (unsigned i = 0; i < d->nr; i++)
        copying += d->list[i].look.state != XF_MIRROR_READY;
    return d->bandwidth && copying ? d->bandwidth / copying + 1 : d->bandwidth;
}

static int open_image(struct xf_disk_moving *x, struct xf_err *err)
{
    int fd = open(x->report->source, O_RDONLY | O_CLOEXEC), rc;

    if (fd < 0)
        return xf_fail(err, errno, "cannot open %.300s: %s", x->report->source, strerror(errno));
    rc = xf_verify_open(&x->image, fd, x->found.size, false, err);
    close(fd);
    return rc;
}

static int begin(struct xf_disks_moving *d, struct xf_disk_moving *x, uint32_t domid,
                 struct xf_chan **relayed, struct xf_err *err)
{
    struct xf_mirror_at at = xf_disks_moving_at(domid);
    char path[256];
    struct xf_mirror_target to = {.socket = path, .export = x->found.vdev};

    if (xf_run_dir_make(err))
        return -1;
    snprintf(path, sizeof(path), "%.200s/disk-%u-%s.sock", xf_run_dir(), domid, x->found.vdev);
    unlink(path); /* of a dead process: we hold the domain's lock */
    if (open_image(x, err))
        return -1;
    x->verify.image = &x->image;
    x->verify.ops = &xf_tcp_ops;
    if (xf_relay_listen(&x->relay, path, &xf_tcp_ops, *relayed, XF_RELAY_STALL_MS, err))
        return -1;
    *relayed = NULL;
    return xf_mirror_start(&x->mirror, &at, &x->found, &to, part_of(d), err);
}

int xf_disk_moving_begin(struct xf_disks_moving *d, struct xf_disk_moving *x, uint32_t domid,
                         struct xf_chan *relayed, struct xf_chan *compared, struct xf_err *err)
{
    int rc;

    x->begun = true;
    x->image.fd = -1;
    x->verify.chan = compared;
    rc = begin(d, x, domid, &relayed, err);
    xf_tcp_ops.close(relayed);
    if (!rc)
        return 0;
    /* Why the way there has ended says more than that QEMU could not go it. */
    if (x->relay) {
        struct xf_err why = {0};

        if (xf_relay_ended(x->relay, 0, &why) < 0)
            *err = why;
    }
    return xf_wrap(err, "disk %s", x->found.vdev);
}

static void say(const struct xf_disks_moving *d, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void say(const struct xf_disks_moving *d, const char *fmt, ...)
{
    char text[400];
    va_list al;

    if (!d->note)
        return;
    va_start(al, fmt);
    vsnprintf(text, sizeof(text), fmt, al);
    va_end(al);
    d->note(d->priv, text);
}

/* The guest writes faster than the copy. */
static int diverges(struct xf_disks_moving *d, struct xf_disk_moving *x, struct xf_err *err)
{
    if (!x->told && !d->throttle)
        say(d,
            "disk %s: the guest writes as fast as its copy can follow (%llu MiB are owed); the "
            "move waits until it writes less, or move it with --throttle-disks",
            x->found.vdev, (unsigned long long)(x->look.left >> 20));
    x->told = true;
    if (!d->throttle || x->slowed || d->rate <= 0)
        return 0;
    if (xf_mirror_throttle(&x->mirror, (uint64_t)(d->rate * THROTTLE_PART) + 1, err))
        return xf_wrap(err, "disk %s: the guest's writes cannot be slowed", x->found.vdev);
    x->slowed = true;
    say(d, "disk %s: the guest's writes are limited to %.1f MiB/s until it has moved",
        x->found.vdev, d->rate * THROTTLE_PART / (1 << 20));
    return 0;
}

static int judge(struct xf_disks_moving *d, struct xf_disk_moving *x, double now,
                 struct xf_err *err)
{
    const struct xf_mirror_look *l = &x->look;

    if (l->state == XF_MIRROR_READY)
        x->was_ready = x->report->ready = true;
    if (!x->least_since && l->offset < x->found.size)
        return 0;
    if (!x->least_since || l->left < x->least || l->left < XF_VERIFY_CHUNK) {
        x->least = l->left;
        x->least_since = now;
    }
    if (now - x->least_since > CONVERGE_S && !x->was_ready)
        return diverges(d, x, err);
    return 0;
}

static int look_at(struct xf_disks_moving *d, struct xf_disk_moving *x, double now,
                   struct xf_err *err)
{
    struct xf_relay_look wire;
    struct xf_err why = {0};

    /* Not as the fault of the link, which COPY would replace: a disk's channel cannot be. */
    if (xf_relay_ended(x->relay, 0, &why) != XF_AGAIN)
        return xf_fail(err, why.num ? why.num : ECONNRESET, "disk %s: %s", x->found.vdev,
                       why.num ? why.text : "the destination has ended its copy");
    if (xf_mirror_look(&x->mirror, &x->look, err))
        return xf_wrap(err, "disk %s", x->found.vdev);
    if (x->look.state == XF_MIRROR_FAILED)
        return xf_fail(err, EIO, "disk %s: its copy has failed: %s", x->found.vdev, x->look.why);
    xf_relay_look(x->relay, &wire);
    x->report->sent = wire.wire;
    x->report->left = x->look.left;
    return judge(d, x, now, err);
}

/* Each time that one of them becomes READY the others may have more of the limit. */
static int share(struct xf_disks_moving *d, unsigned ready_before, unsigned ready,
                 struct xf_err *err)
{
    for (unsigned i = 0; d->bandwidth && ready != ready_before && i < d->nr; i++)
        if (d->list[i].begun && xf_mirror_speed(&d->list[i].mirror, part_of(d), err))
            return xf_wrap(err, "disk %s", d->list[i].found.vdev);
    return 0;
}

int xf_disks_moving_look(struct xf_disks_moving *d, struct xf_err *err)
{
    unsigned before = 0, ready = 0;
    double now = xf_now();
    uint64_t copied = 0;

    if (!d->nr || now - d->looked < LOOK_S)
        return 0;
    for (unsigned i = 0; i < d->nr; i++) {
        struct xf_disk_moving *x = &d->list[i];

        if (!x->begun)
            continue;
        before += x->look.state == XF_MIRROR_READY;
        if (look_at(d, x, now, err))
            return -1;
        ready += x->look.state == XF_MIRROR_READY;
        copied += x->look.offset;
    }
    if (d->looked > 0 && copied > d->copied) {
        double rate = (double)(copied - d->copied) / (now - d->looked);

        /* An idle copy says nothing about how fast it could be. */
        if (ready < d->nr || rate > d->rate)
            d->rate = d->rate > 0 ? 0.7 * d->rate + 0.3 * rate : rate;
    }
    d->copied = copied;
    d->looked = now;
    d->all_ready = ready == d->nr;
    return share(d, before, ready, err);
}

double xf_disks_moving_owed_s(const struct xf_disks_moving *d)
{
    uint64_t left = 0;

    for (unsigned i = 0; i < d->nr; i++)
        left += d->list[i].look.left;
    return d->rate > 0 ? (double)left / d->rate : 0;
}

void xf_disks_moving_progress(const struct xf_disks_moving *d, struct xf_disks_progress *out)
{
    memset(out, 0, sizeof(*out));
    out->nr = d->nr;
    for (unsigned i = 0; i < d->nr; i++) {
        const struct xf_disk_moving *x = &d->list[i];
        bool looked = x->look.len > 0;

        out->ready += x->was_ready;
        out->bytes += looked ? x->look.len : x->found.size;
        out->left += looked ? x->look.left : x->found.size;
        if (x->verify.pass && !x->report->verified && x->verify.checked < x->found.size) {
            out->checked = x->verify.checked;
            out->of = x->found.size;
        }
    }
}

int xf_disk_moving_verify(struct xf_disk_moving *x, struct xf_tick tick, struct xf_err *err)
{
    if (!x->verify.chan)
        return 0;
    if (xf_verify_run(&x->verify, tick, err))
        return xf_wrap(err, "disk %s", x->found.vdev);
    x->report->again = x->verify.again;
    x->report->verified = !x->verify.nr_hot;
    return 0;
}

void xf_disks_moving_drain(struct xf_disks_moving *d)
{
    if (d->suspended <= 0)
        d->suspended = xf_now();
    for (unsigned i = 0; i < d->nr; i++) {
        struct xf_disk_moving *x = &d->list[i];

        if (xf_mirror_finish_begin(&x->mirror, &d->failed)) {
            xf_wrap(&d->failed, "disk %s", x->found.vdev);
            return;
        }
    }
}

int xf_disks_moving_drained(struct xf_disks_moving *d, int timeout_ms, struct xf_err *err)
{
    int64_t until = xf_now_ms() + timeout_ms;

    if (d->failed.num)
        return xf_fail_as(err, &d->failed, "%s", d->failed.text);
    for (unsigned i = 0; i < d->nr; i++) {
        struct xf_disk_moving *x = &d->list[i];
        int64_t left = until - xf_now_ms();
        int rc;

        if (x->drained)
            continue;
        rc = xf_mirror_finished(&x->mirror, left > 0 ? (int)left : 0, err);
        if (rc == XF_AGAIN)
            xf_fail(err, ETIMEDOUT, "its last writes were not at the destination within %d s",
                    timeout_ms / 1000);
        if (rc)
            return xf_wrap(err, "disk %s", x->found.vdev);
        x->drained = true;
        x->report->drained_s = xf_now() - d->suspended;
    }
    return 0;
}

int xf_disks_moving_verify_hot(struct xf_disks_moving *d, struct xf_err *err)
{
    for (unsigned i = 0; i < d->nr; i++) {
        struct xf_disk_moving *x = &d->list[i];

        if (!x->verify.chan)
            continue;
        if (xf_verify_hot(&x->verify, err))
            return xf_wrap(err, "disk %s", x->found.vdev);
        x->report->verified = true;
    }
    return 0;
}

void xf_disks_moving_end(struct xf_disks_moving *d)
{
    for (unsigned i = 0; i < d->nr; i++) {
        struct xf_disk_moving *x = &d->list[i];
        struct xf_relay_look wire;
        struct xf_err left = {0};

        if (!x->begun)
            continue;
        if (x->relay) {
            xf_relay_look(x->relay, &wire);
            x->report->sent = wire.wire;
        }
        if (x->drained && x->verify.chan)
            xf_verify_end(&x->verify, NULL);
        xf_relay_close(x->relay);
        if (!x->drained && xf_mirror_cancel(&x->mirror, &left))
            say(d, "disk %s: its copy could not be ended (%s); the next move does that",
                x->found.vdev, left.text);
        xf_tcp_ops.close(x->verify.chan);
        xf_verify_close(&x->image);
        x->begun = false;
    }
}
