/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What QEMU has of a disk and of its copies, and removing that: see mirror.h, mirror_parts.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "disks/mirror_parts.h"
#include "transport/clock.h"

#define NODES_MAX 1024u /* in one answer; also jobs and disks */
#define STATUS 32u      /* size of a job's status */
#define POLL_MS 20

/* Done with an answer. An invalid one ends the session. */
static int finish(struct xf_qmp *q, struct xf_json *answer, int rc)
{
    xf_json_close(answer);
    if (rc)
        xf_qmp_close(q);
    return rc;
}

/* --- disks --- */

/* A path need not be clean; it is shown, and compared by those who know that. */
static int read_file(const struct xf_json *image, char out[XF_MIRROR_FILE])
{
    return xf_json_sentence(image, "filename", out, XF_MIRROR_FILE);
}

static int read_disk(const struct xf_json *inserted, struct xf_mirror_disk *out)
{
    struct xf_json image;
    char driver[XF_MIRROR_NODE];
    int64_t size;

    if (xf_json_word(inserted, "node-name", out->node, sizeof(out->node)) ||
        xf_json_word(inserted, "drv", driver, sizeof(driver)) ||
        xf_json_bool(inserted, "ro", &out->read_only) ||
        xf_json_object(inserted, "image", &image) || read_file(&image, out->file) ||
        xf_json_number(&image, "virtual-size", 0, INT64_MAX, &size))
        return -1;
    out->size = (uint64_t)size;
    out->raw = !strcmp(driver, "raw");
    return 0;
}

static int lookup(struct xf_qmp *q, const struct xf_json *all, struct xf_mirror_disk *out,
                  struct xf_err *err)
{
    struct xf_json block, inserted;
    json_object *blocks;
    size_t n;
    int rc;

    blocks = xf_json_array(all, "return", NODES_MAX, &n);
    if (!blocks)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (xf_json_item(all, "return", blocks, i, &block))
            return -1;
        if (!xf_json_has(&block, "qdev"))
            continue;
        if (xf_json_word(&block, "qdev", out->qdev, sizeof(out->qdev)))
            return -1;
        rc = xf_mirror_is_vdev(q, out->qdev, out->vdev, err);
        if (rc < 0)
            return -1;
        if (!rc)
            continue;
        if (!xf_json_has(&block, "inserted"))
            return xf_fail(err, ENOMEDIUM, "disk %s of domain %u is a drive without a medium",
                           out->vdev, q->domid);
        return xf_json_object(&block, "inserted", &inserted) ? -1 : read_disk(&inserted, out);
    }
    return xf_fail(err, ENOENT, "the device model of domain %u serves no disk %s", q->domid,
                   out->vdev);
}

int xf_mirror_lookup(struct xf_qmp *q, const char *vdev, struct xf_mirror_disk *out,
                     struct xf_err *err)
{
    struct xf_json answer;
    int rc;

    memset(out, 0, sizeof(*out));
    if (snprintf(out->vdev, sizeof(out->vdev), "%s", vdev) >= (int)sizeof(out->vdev))
        return xf_fail(err, ENAMETOOLONG, "a disk has no name as long as %.40s", vdev);
    if (xf_qmp_call_list(q, "query-block", NULL, &answer, err)) {
        xf_json_close(&answer);
        return -1;
    }
    rc = lookup(q, &answer, out, err);
    xf_json_close(&answer);
    return rc;
}

int xf_mirror_find(const struct xf_mirror_at *at, const char *vdev, struct xf_mirror_disk *out,
                   struct xf_err *err)
{
    struct xf_mirror_job job = {0};
    struct xf_qmp q;
    int rc = xf_mirror_open(&q, at, err);

    if (!rc)
        rc = xf_mirror_lookup(&q, vdev, out, err) || xf_mirror_job(&q, vdev, &job, err) ? -1 : 0;
    xf_qmp_close(&q);
    if (!rc && (job.exists || !strncmp(out->node, "xf-top-", 7)))
        return xf_fail(err, EBUSY, "disk %s of domain %u is being copied already", vdev, at->domid);
    return rc;
}

/* --- jobs --- */

static int read_job(const struct xf_json *j, struct xf_mirror_job *out)
{
    char status[STATUS];
    int64_t offset, len;

    if (xf_json_word(j, "status", status, sizeof(status)) ||
        xf_json_bool(j, "ready", &out->ready) ||
        xf_json_number(j, "offset", 0, INT64_MAX, &offset) ||
        xf_json_number(j, "len", 0, INT64_MAX, &len))
        return -1;
    out->exists = true;
    out->concluded = !strcmp(status, "concluded");
    out->failed = xf_json_has(j, "error");
    out->offset = (uint64_t)offset;
    out->len = (uint64_t)(len > offset ? len : offset);
    return out->failed ? xf_json_sentence(j, "error", out->why, sizeof(out->why)) : 0;
}

static int find_job(const struct xf_json *all, const char *vdev, struct xf_mirror_job *out)
{
    char name[XF_MIRROR_NODE], ours[XF_MIRROR_NODE];
    struct xf_json job;
    json_object *jobs;
    size_t n;

    xf_mirror_job_name(ours, vdev);
    jobs = xf_json_array(all, "return", NODES_MAX, &n);
    if (!jobs)
        return -1;
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const char *id;

        if (xf_json_item(all, "return", jobs, i, &job))
            return -1;
        id = xf_json_string(&job, "device", NODES_MAX, &len);
        if (!id)
            return -1;
        snprintf(name, sizeof(name), "%s", id);
        if (!strcmp(name, ours))
            return read_job(&job, out);
    }
    return 0;
}

int xf_mirror_job(struct xf_qmp *q, const char *vdev, struct xf_mirror_job *out, struct xf_err *err)
{
    struct xf_json answer;

    memset(out, 0, sizeof(*out));
    if (xf_qmp_call_list(q, "query-block-jobs", NULL, &answer, err)) {
        xf_json_close(&answer);
        return -1;
    }
    return finish(q, &answer, find_job(&answer, vdev, out));
}

int xf_mirror_job_wait(struct xf_qmp *q, const char *vdev, int timeout_ms,
                       struct xf_mirror_job *out, struct xf_err *err)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000};
    int64_t until = xf_now_ms() + timeout_ms;

    for (;;) {
        if (xf_mirror_job(q, vdev, out, err))
            return -1;
        if (!out->exists || out->concluded)
            return 0;
        if (!xf_ms_left(until))
            return XF_AGAIN;
        if (xf_tick(q->tick, err))
            return -1;
        nanosleep(&pause, NULL);
    }
}

/* --- removing --- */

/* The first node of an answer whose name is wanted, and its name. XF_AGAIN: there is none. */
static int find_node(const struct xf_json *all, bool (*wanted)(const void *arg, const char *name),
                     const void *arg, struct xf_json *node, char name[XF_MIRROR_NODE])
{
    json_object *nodes;
    size_t n;

    nodes = xf_json_array(all, "return", NODES_MAX, &n);
    if (!nodes)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (xf_json_item(all, "return", nodes, i, node) ||
            xf_json_word(node, "node-name", name, XF_MIRROR_NODE))
            return -1;
        if (wanted(arg, name))
            return 0;
    }
    return XF_AGAIN;
}

static int ask_nodes(struct xf_qmp *q, struct xf_json *answer, struct xf_err *err)
{
    json_object *flat = json_object_new_object();

    json_object_object_add(flat, "flat", json_object_new_boolean(true));
    if (!xf_qmp_call_list(q, "query-named-block-nodes", flat, answer, err))
        return 0;
    xf_json_close(answer);
    return -1;
}

static bool is_named(const void *wanted, const char *name)
{
    return !strcmp(name, wanted);
}

static int read_size(const struct xf_json *all, const char *wanted, uint64_t *size)
{
    struct xf_json node, image;
    char name[XF_MIRROR_NODE];
    int64_t bytes;
    int rc = find_node(all, is_named, wanted, &node, name);

    if (rc == XF_AGAIN)
        return xf_json_bad(all, "return", "lacks the node that was added");
    if (rc || xf_json_object(&node, "image", &image) ||
        xf_json_number(&image, "virtual-size", 0, INT64_MAX, &bytes))
        return -1;
    *size = (uint64_t)bytes;
    return 0;
}

int xf_mirror_node_size(struct xf_qmp *q, const char *node, uint64_t *size, struct xf_err *err)
{
    struct xf_json answer;

    if (ask_nodes(q, &answer, err))
        return -1;
    return finish(q, &answer, read_size(&answer, node, size));
}

/* A node of a copy that the disk does not use. */
static bool is_left(const void *arg, const char *name)
{
    const struct xf_mirror_disk *disk = arg;

    return xf_mirror_is_ours(name, disk->vdev) && strcmp(name, disk->node) != 0;
}

static int remove_nodes(struct xf_qmp *q, const struct xf_mirror_disk *disk, bool *found,
                        struct xf_err *err)
{
    char name[XF_MIRROR_NODE];
    struct xf_json answer, node;
    int rc;

    for (;;) {
        if (ask_nodes(q, &answer, err))
            return -1;
        rc = find_node(&answer, is_left, disk, &node, name);
        if (finish(q, &answer, rc == XF_AGAIN ? 0 : rc))
            return -1;
        if (rc == XF_AGAIN)
            return 0;
        *found = true;
        if (xf_mirror_tell(q, "blockdev-del", xf_mirror_word("node-name", name), err))
            return -1;
    }
}

static int remove_job(struct xf_qmp *q, const char *vdev, bool *found, struct xf_err *err)
{
    char name[XF_MIRROR_NODE];
    struct xf_mirror_job job;
    json_object *arguments;
    int rc;

    if (xf_mirror_job(q, vdev, &job, err))
        return -1;
    if (!job.exists)
        return 0;
    *found = true;
    xf_mirror_job_name(name, vdev);
    if (!job.concluded) {
        arguments = xf_mirror_word("device", name);
        json_object_object_add(arguments, "force", json_object_new_boolean(true));
        if (xf_mirror_tell(q, "block-job-cancel", arguments, err))
            return -1;
        rc = xf_mirror_job_wait(q, vdev, q->limit_ms, &job, err);
        if (rc == XF_AGAIN)
            return xf_fail(err, ETIMEDOUT, "the copying of disk %s of domain %u does not end", vdev,
                           q->domid);
        if (rc)
            return -1;
    }
    return job.exists ? xf_mirror_tell(q, "job-dismiss", xf_mirror_word("id", name), err) : 0;
}

int xf_mirror_remove(struct xf_qmp *q, const struct xf_mirror_disk *disk, bool throttled,
                     bool *found, struct xf_err *err)
{
    struct xf_mirror_disk now;

    /* A throttled guest writes slowly, and the job's last requests wait for it. */
    if (throttled && xf_mirror_set_throttle(q, disk->qdev, 0, err))
        return -1;
    if (remove_job(q, disk->vdev, found, err) || xf_mirror_lookup(q, disk->vdev, &now, err) ||
        remove_nodes(q, &now, found, err))
        return -1;
    return 0;
}

int xf_mirror_clear(const struct xf_mirror_at *at, const char *vdev, bool *found,
                    struct xf_err *err)
{
    struct xf_mirror_disk disk;
    struct xf_err why = {0};
    struct xf_qmp q;
    bool any = false;
    int rc = xf_mirror_open(&q, at, err);

    if (!rc)
        rc = xf_mirror_lookup(&q, vdev, &disk, &why);
    if (rc && why.num == ENOENT)
        rc = 0; /* no disk, so nothing is left of it */
    else if (why.num)
        rc = xf_fail_as(err, &why, "%s", why.text);
    else if (!rc)
        rc = xf_mirror_remove(&q, &disk, false, &any, err) ||
                     (any && xf_mirror_set_throttle(&q, disk.qdev, 0, err))
                 ? -1
                 : 0;
    xf_qmp_close(&q);
    if (found)
        *found = any;
    return rc;
}
