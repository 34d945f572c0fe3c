/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A mirror from its start to its end: see mirror.h. The settings, and what each is for:
 *
 *   copy-mode background    the guest's writes do not wait for the copy. write-blocking made them
 *                           wait 739 ms on a busy link, and for as long as a link stalled
 *   granularity 4096        65536 sends 64 KiB for each 4 KiB written, and may never catch up
 *   on-*-error report       an error of the copy ends the copy and never reaches the guest; "stop"
 *                           would stop the guest
 *   auto-dismiss false      how it ended can be asked for, and no event need be waited for
 *   reconnect-delay 0       a lost link ends the job instead of stopping its requests
 *   filter-node-name        QEMU's own name would change with each job
 */
#include "disks/mirror.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "disks/mirror_parts.h"

#define GRANULARITY 4096

static void add_word(json_object *o, const char *name, const char *value)
{
    json_object_object_add(o, name, json_object_new_string(value));
}

static void add_number(json_object *o, const char *name, uint64_t value)
{
    json_object_object_add(o, name, json_object_new_int64((int64_t)value));
}

static void add_bool(json_object *o, const char *name, bool value)
{
    json_object_object_add(o, name, json_object_new_boolean(value));
}

/* --- starting --- */

/* The node of a local copy stays when the job has ended, so the next one has another name. */
static void name_target(struct xf_mirror *m)
{
    char first[XF_MIRROR_NODE];

    xf_mirror_job_name(m->target, m->disk.vdev);
    if (!m->local)
        return;
    snprintf(first, sizeof(first), "xf-%.*s-1", (int)XF_MIRROR_VDEV, m->disk.vdev);
    snprintf(m->target, sizeof(m->target), "xf-%.*s-%d", (int)XF_MIRROR_VDEV, m->disk.vdev,
             strcmp(m->disk.node, first) ? 1 : 2);
}

static json_object *node_of_server(const struct xf_mirror *m, const struct xf_mirror_target *t)
{
    json_object *o = xf_mirror_word("driver", "nbd");
    json_object *server = xf_mirror_word("type", "unix");

    add_word(server, "path", t->socket);
    add_word(o, "node-name", m->target);
    add_word(o, "export", t->export);
    json_object_object_add(o, "server", server);
    add_number(o, "reconnect-delay", 0);
    return o;
}

static json_object *node_of_file(const struct xf_mirror *m, const struct xf_mirror_target *t)
{
    json_object *o = xf_mirror_word("driver", "raw");
    json_object *file = xf_mirror_word("driver", t->device ? "host_device" : "file");

    add_word(file, "filename", t->file);
    add_word(file, "locking", "off");
    add_word(file, "discard", "unmap");
    add_word(o, "node-name", m->target);
    add_word(o, "discard", "unmap");
    if (t->device) /* it may be larger; the two of a mirror must not differ */
        add_number(o, "size", m->disk.size);
    json_object_object_add(o, "file", file);
    return o;
}

static int start_job(struct xf_qmp *q, const struct xf_mirror *m, uint64_t speed,
                     struct xf_err *err)
{
    char name[XF_MIRROR_NODE], filter[XF_MIRROR_NODE];
    json_object *o;

    xf_mirror_job_name(name, m->disk.vdev);
    snprintf(filter, sizeof(filter), "xf-top-%.*s", (int)XF_MIRROR_VDEV, m->disk.vdev);
    o = xf_mirror_word("job-id", name);
    add_word(o, "device", m->disk.node);
    add_word(o, "target", m->target);
    add_word(o, "sync", "full");
    add_word(o, "copy-mode", "background");
    add_number(o, "granularity", GRANULARITY);
    add_number(o, "speed", speed);
    add_word(o, "on-source-error", "report");
    add_word(o, "on-target-error", "report");
    add_word(o, "filter-node-name", filter);
    add_bool(o, "auto-dismiss", false);
    return xf_mirror_tell(q, "blockdev-mirror", o, err);
}

/* QEMU refuses only a target that is too small. */
static int check_size(struct xf_qmp *q, const struct xf_mirror *m, struct xf_err *err)
{
    uint64_t size;

    if (xf_mirror_node_size(q, m->target, &size, err))
        return -1;
    return size == m->disk.size
               ? 0
               : xf_fail(err, EFBIG, "the image to copy disk %s to has %llu bytes, the disk %llu",
                         m->disk.vdev, (unsigned long long)size, (unsigned long long)m->disk.size);
}

static int start(struct xf_qmp *q, struct xf_mirror *m, const struct xf_mirror_target *t,
                 uint64_t speed, struct xf_err *err)
{
    struct xf_err why = {0}, after = {0};

    if (xf_mirror_tell(q, "blockdev-add", m->local ? node_of_file(m, t) : node_of_server(m, t),
                       err)) {
        if (err && err->num == EREMOTEIO)
            m->target[0] = 0;
        return -1;
    }
    if (!check_size(q, m, &why) && !start_job(q, m, speed, &why))
        return 0;
    if ((why.num == EREMOTEIO || why.num == EFBIG) &&
        !xf_mirror_tell(q, "blockdev-del", xf_mirror_word("node-name", m->target), &after))
        m->target[0] = 0;
    return xf_fail_as(err, &why, "%s", why.text);
}

int xf_mirror_start(struct xf_mirror *m, const struct xf_mirror_at *at,
                    const struct xf_mirror_disk *disk, const struct xf_mirror_target *target,
                    uint64_t speed, struct xf_err *err)
{
    struct xf_qmp q;
    int rc;

    *m = (struct xf_mirror){.at = *at, .disk = *disk, .local = !target->socket};
    rc = xf_mirror_open(&q, at, err);
    if (!rc) {
        name_target(m);
        rc = start(&q, m, target, speed, err);
    }
    xf_qmp_close(&q);
    return rc;
}

/* --- while it runs --- */

static void judge(const struct xf_mirror *m, const struct xf_mirror_job *job,
                  struct xf_mirror_look *out)
{
    *out = (struct xf_mirror_look){
        .offset = job->offset, .len = job->len, .left = job->len - job->offset};
    if (!job->exists || (job->concluded && (job->failed || !m->ending))) {
        out->state = XF_MIRROR_FAILED;
        snprintf(out->why, sizeof(out->why), "%s",
                 !job->exists  ? "the job is gone"
                 : job->why[0] ? job->why
                               : "the job has been ended by another program");
    } else if (job->concluded) {
        out->state = XF_MIRROR_DONE;
    } else if (m->ending) {
        out->state = XF_MIRROR_ENDS;
    } else {
        out->state = job->ready ? XF_MIRROR_READY : XF_MIRROR_COPIES;
    }
}

static int look(struct xf_qmp *q, const struct xf_mirror *m, struct xf_mirror_look *out,
                struct xf_err *err)
{
    struct xf_mirror_job job;

    if (xf_mirror_job(q, m->disk.vdev, &job, err))
        return -1;
    judge(m, &job, out);
    return 0;
}

int xf_mirror_look(const struct xf_mirror *m, struct xf_mirror_look *out, struct xf_err *err)
{
    struct xf_qmp q;
    int rc = xf_mirror_open(&q, &m->at, err) || look(&q, m, out, err) ? -1 : 0;

    xf_qmp_close(&q);
    return rc;
}

int xf_mirror_speed(const struct xf_mirror *m, uint64_t bytes_per_s, struct xf_err *err)
{
    char name[XF_MIRROR_NODE];
    struct xf_qmp q;
    json_object *o;
    int rc = xf_mirror_open(&q, &m->at, err);

    if (!rc) {
        xf_mirror_job_name(name, m->disk.vdev);
        o = xf_mirror_word("device", name);
        add_number(o, "speed", bytes_per_s);
        rc = xf_mirror_tell(&q, "block-job-set-speed", o, err);
    }
    xf_qmp_close(&q);
    return rc;
}

int xf_mirror_throttle(struct xf_mirror *m, uint64_t bytes_per_s, struct xf_err *err)
{
    struct xf_qmp q;
    int rc = xf_mirror_open(&q, &m->at, err);

    if (!rc) {
        /* Before it is sent: without an answer nobody knows. */
        m->throttled = true;
        rc = xf_mirror_set_throttle(&q, m->disk.qdev, bytes_per_s, err);
        if (!rc)
            m->throttled = bytes_per_s;
    }
    xf_qmp_close(&q);
    return rc;
}

/* --- ending --- */

/* The job has failed, in QEMU's words. */
static int failed(const struct xf_mirror *m, const char *why, struct xf_err *err)
{
    return xf_fail(err, EIO, "copying disk %s of domain %u has failed: %s", m->disk.vdev,
                   m->at.domid, why);
}

static int must_be_ready(struct xf_qmp *q, const struct xf_mirror *m, struct xf_err *err)
{
    struct xf_mirror_look now;

    if (look(q, m, &now, err))
        return -1;
    if (now.state == XF_MIRROR_FAILED)
        return failed(m, now.why, err);
    if (now.state != XF_MIRROR_READY)
        return xf_fail(err, EBUSY, "the copy of disk %s of domain %u is not complete yet",
                       m->disk.vdev, m->at.domid);
    return 0;
}

static int finish_begin(struct xf_qmp *q, struct xf_mirror *m, struct xf_err *err)
{
    char name[XF_MIRROR_NODE];

    /* Before it is ready the same command would abandon the copy. It does not cease to be ready. */
    if (must_be_ready(q, m, err))
        return -1;
    if (m->throttled && xf_mirror_set_throttle(q, m->disk.qdev, 0, err))
        return -1;
    m->throttled = false;
    xf_mirror_job_name(name, m->disk.vdev);
    if (xf_mirror_tell(q, "block-job-cancel", xf_mirror_word("device", name), err))
        return -1;
    m->ending = true;
    return 0;
}

int xf_mirror_finish_begin(struct xf_mirror *m, struct xf_err *err)
{
    struct xf_qmp q;
    int rc = xf_mirror_open(&q, &m->at, err) || finish_begin(&q, m, err) ? -1 : 0;

    xf_qmp_close(&q);
    return rc;
}

/* Wait for the end of the job, which then must have succeeded, and dismiss it. */
static int await_done(struct xf_qmp *q, struct xf_mirror *m, int timeout_ms, struct xf_err *err)
{
    char name[XF_MIRROR_NODE];
    struct xf_mirror_look end;
    struct xf_mirror_job job;
    int rc = xf_mirror_job_wait(q, m->disk.vdev, timeout_ms, &job, err);

    if (rc)
        return rc;
    judge(m, &job, &end);
    if (end.state != XF_MIRROR_DONE)
        return failed(m, end.why, err);
    xf_mirror_job_name(name, m->disk.vdev);
    return xf_mirror_tell(q, "job-dismiss", xf_mirror_word("id", name), err);
}

int xf_mirror_finished(struct xf_mirror *m, int timeout_ms, struct xf_err *err)
{
    struct xf_qmp q;
    int rc = xf_mirror_open(&q, &m->at, err);

    if (!rc)
        rc = await_done(&q, m, timeout_ms, err);
    if (!rc)
        rc = xf_mirror_tell(&q, "blockdev-del", xf_mirror_word("node-name", m->target), err);
    if (!rc)
        m->target[0] = 0;
    xf_qmp_close(&q);
    return rc;
}

/*
 * The old image is closed. The node that the distribution's libxl knows must exist when the disk is
 * detached, since xen-block then deletes the node by that name, and fails without; so something
 * empty takes the name.
 */
static int let_go(struct xf_qmp *q, const struct xf_mirror_disk *old, struct xf_err *err)
{
    json_object *o;

    if (xf_mirror_tell(q, "blockdev-del", xf_mirror_word("node-name", old->node), err))
        return -1;
    if (xf_mirror_is_ours(old->node, old->vdev))
        return 0;
    o = xf_mirror_word("driver", "null-co");
    add_word(o, "node-name", old->node);
    add_number(o, "size", 0);
    return xf_mirror_tell(q, "blockdev-add", o, err);
}

static int pivot(struct xf_qmp *q, struct xf_mirror *m, struct xf_err *err)
{
    struct xf_mirror_disk old = m->disk, now;
    char name[XF_MIRROR_NODE];
    int rc;

    if (must_be_ready(q, m, err))
        return -1;
    xf_mirror_job_name(name, m->disk.vdev);
    if (xf_mirror_tell(q, "job-complete", xf_mirror_word("id", name), err))
        return -1;
    m->ending = true;
    rc = await_done(q, m, m->at.limit_ms, err);
    if (rc == XF_AGAIN)
        return xf_fail(err, ETIMEDOUT, "the copying of disk %s of domain %u does not end",
                       m->disk.vdev, m->at.domid);
    if (rc || xf_mirror_lookup(q, m->disk.vdev, &now, err))
        return -1;
    if (strcmp(now.node, m->target) != 0)
        return failed(m, "the guest still uses the old image", err);
    m->pivoted = true;
    m->target[0] = 0;
    m->disk = now;
    return let_go(q, &old, err) ? xf_wrap(err, "the guest uses the copy, but QEMU still has the "
                                               "old image open")
                                : 0;
}

int xf_mirror_pivot(struct xf_mirror *m, struct xf_err *err)
{
    struct xf_qmp q;
    int rc;

    if (!m->local)
        return xf_fail(err, EINVAL, "the copy of disk %s is on another host", m->disk.vdev);
    rc = xf_mirror_open(&q, &m->at, err) || pivot(&q, m, err) ? -1 : 0;
    xf_qmp_close(&q);
    return rc;
}

int xf_mirror_cancel(struct xf_mirror *m, struct xf_err *err)
{
    struct xf_qmp q;
    bool found = false;
    int rc;

    if (!m->target[0] && !m->throttled)
        return 0;
    rc = xf_mirror_open(&q, &m->at, err);
    if (!rc)
        rc = xf_mirror_remove(&q, &m->disk, m->throttled, &found, err);
    if (!rc) {
        m->target[0] = 0;
        m->throttled = false;
    }
    xf_qmp_close(&q);
    return rc;
}
